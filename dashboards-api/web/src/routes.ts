import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { Frame, NotFound } from './frame'
import { readSearch, type Search, writeSearch } from './search'

// Every address of the page, one line each. A page is its own script, fetched when it is
// opened: the default export of pages/<area>/index.tsx, and its export Profile for the address
// of one thing.
const root = createRootRoute({ component: Frame, notFoundComponent: NotFound, validateSearch: (search: Record<string, unknown>) => search as Search })
const pages = [
  createRoute({ getParentRoute: () => root, path: '/', component: lazyRouteComponent(() => import('./pages/scorecard')) }),
  createRoute({ getParentRoute: () => root, path: '/monday', component: lazyRouteComponent(() => import('./pages/monday')) }),
  createRoute({ getParentRoute: () => root, path: '/promises', component: lazyRouteComponent(() => import('./pages/promises')) }),
  createRoute({ getParentRoute: () => root, path: '/kpis', component: lazyRouteComponent(() => import('./pages/kpis')) }),
  createRoute({ getParentRoute: () => root, path: '/kpis/$id', component: lazyRouteComponent(() => import('./pages/kpi')) }),
  createRoute({ getParentRoute: () => root, path: '/services', component: lazyRouteComponent(() => import('./pages/services')) }),
  createRoute({ getParentRoute: () => root, path: '/services/$id', component: lazyRouteComponent(() => import('./pages/services'), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/agencies', component: lazyRouteComponent(() => import('./pages/agencies')) }),
  createRoute({ getParentRoute: () => root, path: '/agencies/$id', component: lazyRouteComponent(() => import('./pages/agencies'), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/regions', component: lazyRouteComponent(() => import('./pages/regions')) }),
  createRoute({ getParentRoute: () => root, path: '/regions/$id', component: lazyRouteComponent(() => import('./pages/regions'), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/projects', component: lazyRouteComponent(() => import('./pages/projects')) }),
  createRoute({ getParentRoute: () => root, path: '/projects/$id', component: lazyRouteComponent(() => import('./pages/projects'), 'Profile') }),
  createRoute({ getParentRoute: () => root, path: '/quality', component: lazyRouteComponent(() => import('./pages/quality')) }),
  createRoute({ getParentRoute: () => root, path: '/workbench', component: lazyRouteComponent(() => import('./pages/workbench')) }),
  createRoute({ getParentRoute: () => root, path: '/settings', component: lazyRouteComponent(() => import('./pages/settings')) }),
  createRoute({ getParentRoute: () => root, path: '/operate', component: lazyRouteComponent(() => import('./pages/operate')) }),
] as const

export const router = createRouter({
  routeTree: root.addChildren(pages),
  parseSearch: (text) => readSearch(text) as Record<string, unknown>,
  stringifySearch: (search) => writeSearch(search as Search),
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
