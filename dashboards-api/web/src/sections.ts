import type { Route } from './api/me'
import type { Words } from './words'

// The navigation. Who may not use the route that a section stands on does not see the section;
// key after "g" opens it.
export const sections = [
  { to: '/', name: 'scorecard', needs: 'GET /v1/scorecard', key: 's' },
  { to: '/kpis', name: 'definitions', needs: 'GET /v1/kpis', key: 'd' },
  { to: '/services', name: 'services', needs: 'GET /v1/services', key: 'v' },
  { to: '/agencies', name: 'agencies', needs: 'GET /v1/organisations', key: 'a' },
  { to: '/regions', name: 'regions', needs: 'GET /v1/regions', key: 'r' },
  { to: '/projects', name: 'projects', needs: 'GET /v1/projects', key: 'p' },
  { to: '/promises', name: 'promises', needs: 'GET /v1/targets', key: 'm' },
  { to: '/quality', name: 'quality', needs: 'GET /v1/quality', key: 'q' },
  { to: '/workbench', name: 'workbench', needs: 'POST /v1/workbench/runs', key: 'w' },
] as const satisfies { to: string; name: keyof Words['sections']; needs: Route; key: string }[]
