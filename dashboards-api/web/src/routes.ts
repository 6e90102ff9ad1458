import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { fetched } from './fetched'
import { Frame, NotFound } from './frame'
import { Broken } from './parts/Broken'
import { readSearch, type Search, writeSearch } from './search'

// Every address of the page, one line each. A page is its own script, fetched when it is
// opened: the default export of pages/<area>/index.tsx, and its export Profile for the address
// of one thing.
const root = createRootRoute({ component: Frame, notFoundComponent: NotFound, validateSearch: (search: Record<string, unknown>) => search as Search })
const pages = [
  createRoute({ getParentRoute: () => root, path: '/', component: lazyRouteComponent(fetched(() => import('./pages/scorecard'))) }),
  createRoute({ getParentRoute: () => root, path: '/monday', component: lazyRouteComponent(fetched(() => import('./pages/monday'))) }),
  createRoute({ getParentRoute: () => root, path: '/promises', component: lazyRouteComponent(fetched(() => import('./pages/promises'))) }),
  createRoute({ getParentRoute: () => root, path: '/kpis', component: lazyRouteComponent(fetched(() => import('./pages/kpis'))) }),
  createRoute({ getParentRoute: () => root, path: '/kpis/$id', component: lazyRouteComponent(fetched(() => import('./pages/kpi'))) }),
  createRoute({ getParentRoute: () => root, path: '/services', component: lazyRouteComponent(fetched(() => import('./pages/services'))) }),
  createRoute({ getParentRoute: () => root, path: '/services/$id', component: lazyRouteComponent(fetched(() => import('./pages/services')), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/agencies', component: lazyRouteComponent(fetched(() => import('./pages/agencies'))) }),
  createRoute({ getParentRoute: () => root, path: '/agencies/$id', component: lazyRouteComponent(fetched(() => import('./pages/agencies')), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/regions', component: lazyRouteComponent(fetched(() => import('./pages/regions'))) }),
  createRoute({ getParentRoute: () => root, path: '/regions/$id', component: lazyRouteComponent(fetched(() => import('./pages/regions')), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/projects', component: lazyRouteComponent(fetched(() => import('./pages/projects'))) }),
  createRoute({ getParentRoute: () => root, path: '/projects/$id', component: lazyRouteComponent(fetched(() => import('./pages/projects')), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/quality', component: lazyRouteComponent(fetched(() => import('./pages/quality'))) }),
  createRoute({ getParentRoute: () => root, path: '/workbench', component: lazyRouteComponent(fetched(() => import('./pages/workbench'))) }),
  createRoute({ getParentRoute: () => root, path: '/settings', component: lazyRouteComponent(fetched(() => import('./pages/settings'))) }),
  createRoute({ getParentRoute: () => root, path: '/operate', component: lazyRouteComponent(fetched(() => import('./pages/operate'))) }),
] as const

export const router = createRouter({
  routeTree: root.addChildren(pages),
  parseSearch: (text) => readSearch(text) as Record<string, unknown>,
  stringifySearch: (search) => writeSearch(search as Search),
  scrollRestoration: true,
  defaultErrorComponent: Broken,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
