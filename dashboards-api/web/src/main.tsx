import '@fontsource-variable/inter'
import './styles.css'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError, onUnknown } from './api/client'
import { router } from './routes'
import { settings } from './settings'

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity, // new data are announced; nothing is asked for in vain
      refetchOnWindowFocus: false,
      retry: (times, error) => times < 3 && (!(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status === 503),
    },
  },
})

// A session may end while somebody looks: then it is asked anew who reads.
onUnknown(() => void client.invalidateQueries({ queryKey: ['me'] }, { cancelRefetch: false }))

// Who comes from elsewhere to the bare address begins at the page of their choice; every other
// address, reloading and the way back open what they name.
const { start } = settings()
const arrival = performance.getEntriesByType('navigation')[0] as PerformanceNavigationTiming | undefined
if (start && arrival?.type === 'navigate' && location.pathname === '/' && location.search === '' && !document.referrer.startsWith(location.origin)) history.replaceState(null, '', start)

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
