import { useQuery } from '@tanstack/react-query'
import { useCallback } from 'react'
import { get, type Me } from './client'
import type { paths } from './schema'

// Route is an operation of the API as its description has it.
export type Route = `${'GET' | 'POST' | 'PUT' | 'DELETE'} ${keyof paths & string}`

export const useMe = () => useQuery({ queryKey: ['me'], queryFn: ({ signal }) => get<Me>('/v1/me', signal) })

// useMay answers whether the reader may use a route. What one may not use is absent from the
// page, not greyed; while it is not known who reads, nothing is allowed.
export function useMay(): (route: Route) => boolean {
  const may = useMe().data?.may
  return useCallback((route) => may?.includes(route) ?? false, [may])
}

// useScope is the part of all rows that the reader sees; undefined: all of them, as far as their
// roles go.
export function useScope(): { dimension: 'agency' | 'region'; value: string } | undefined {
  const person = useMe().data?.principal
  if (!person || person.roles.some((role) => role !== 'agency' && role !== 'source')) return undefined
  return !person.agency && person.region ? { dimension: 'region', value: person.region } : { dimension: 'agency', value: person.agency ?? '' }
}

// useOutside is true for a reader to whom only what was published is told.
export function useOutside(): boolean {
  const me = useMe().data
  return me !== undefined && (me.principal?.roles.every((role) => role === 'public') ?? true)
}
