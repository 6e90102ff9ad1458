import { useQuery } from '@tanstack/react-query'
import { get, type Labels } from '../../api/client'
import { useVoice } from '../../voice'

export const useLabels = () => useQuery({ queryKey: ['labels'], queryFn: ({ signal }) => get<Labels>('/v1/labels', signal) })

// useCurrency is the pack's, ISO 4217; empty when it declares none.
export const useCurrency = (): string => useLabels().data?.currency ?? ''

// useStages are the stages in the order of the contract that tells them, as far as it is known.
export function useStages(): { order: string[]; name: (stage: string) => string } {
  const { labels } = useVoice()
  const contracts = useQuery({ queryKey: ['contracts'], queryFn: ({ signal }) => get<{ contracts: { fields: { name: string; values: string[] }[] }[] }>('/v1/contracts', signal) })
  const order = contracts.data?.contracts.flatMap((c) => c.fields.filter((f) => f.name === 'stage' && f.values.includes('pilot')).map((f) => f.values))[0] ?? []
  return { order, name: (stage) => labels[`value.stage.${stage}`] ?? stage }
}
