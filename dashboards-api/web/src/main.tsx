import '@fontsource-variable/inter'
import './styles.css'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createRootRoute, createRoute, createRouter, RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api/client'
import { KpiPage } from './pages/Kpi'
import { NotFound, Root } from './pages/Root'
import { ScorecardPage } from './pages/Scorecard'
import { readSearch, type Search, writeSearch } from './search'

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity, // new data are announced; nothing is asked for in vain
      refetchOnWindowFocus: false,
      retry: (times, error) => times < 3 && (!(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status === 503),
    },
  },
})

const root = createRootRoute({ component: Root, notFoundComponent: NotFound, validateSearch: (search: Record<string, unknown>) => search as Search })
const scorecard = createRoute({ getParentRoute: () => root, path: '/', component: ScorecardPage })
const kpi = createRoute({ getParentRoute: () => root, path: '/kpis/$id', component: KpiPage })

const router = createRouter({
  routeTree: root.addChildren([scorecard, kpi]),
  parseSearch: (text) => readSearch(text) as Record<string, unknown>,
  stringifySearch: (search) => writeSearch(search as Search),
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
