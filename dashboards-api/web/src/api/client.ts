import type { components } from './schema'

type Schemas = components['schemas']
export type Cell = Schemas['Cell']
export type Values = Schemas['Values']
export type Scorecard = Schemas['Scorecard']
export type ScorecardRow = Schemas['ScorecardRow']
export type HeldTarget = Schemas['HeldTarget']
export type Kpi = Schemas['KPI']
export type Target = Schemas['Target']
export type Version = Schemas['Version']
export type Labels = Schemas['Labels']
export type Table = Schemas['Table']
export type Dimension = Schemas['Dimension']
export type Problem = Schemas['Problem']
export type Me = Schemas['Me']
export type Settings = Schemas['Settings']
export type Changes = Schemas['Changes']
export type Change = Schemas['Change']
export type Targets = Schemas['Targets']
export type Published = Schemas['Published']
export type WorkbenchSchema = Schemas['WorkbenchSchema']
export type SavedQuery = Schemas['SavedQuery']
export type SavedQueries = Schemas['SavedQueries']
export type QueryToSave = Schemas['QueryToSave']
export type Run = Schemas['Run']
export type Runs = Schemas['Runs']
export type RunLine = Schemas['RunLine']
export type RunEnd = Schemas['RunEnd']
export type RunColumn = Schemas['RunColumn']
export type Estimate = Schemas['Estimate']
export type ProjectList = Schemas['Projects']

// ApiError carries what the server said about a request that failed; status 0 is a
// server that could not be reached.
export class ApiError extends Error {
  readonly status: number
  readonly field: string | undefined
  readonly words: Record<string, string>
  readonly allowed: readonly string[]

  constructor(status: number, detail: string, { field, words = {}, allowed = [] }: Pick<Partial<Problem>, 'field' | 'words' | 'allowed'> = {}) {
    super(detail)
    this.status = status
    this.field = field
    this.words = words
    this.allowed = allowed
  }
}

// saidIn is what the server says of a fault in a language; undefined where it says nothing, or
// in English alone.
export const saidIn = (error: unknown, language: string): string | undefined =>
  error instanceof ApiError ? (error.words[language] ?? (language === 'en' && error.message)) || undefined : undefined

// get reads the JSON answer of a path.
export const get = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await (await ask(path, { headers: { Accept: 'application/json' } }, signal)).json()) as T

// send sends a body to be done, and reads the JSON answer; undefined when there is none.
export async function send<T = undefined>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, { method, ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }) }, signal)
  return (response.status === 204 ? undefined : await response.json()) as T
}

let unknown = () => {}

// onUnknown sets what is done whenever the server says that nobody is signed in.
export const onUnknown = (call: () => void) => {
  unknown = call
}

// ask is fetch whose answer is one of success; anything else is an ApiError.
export async function ask(path: string, request: RequestInit, signal?: AbortSignal): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, { ...request, ...(signal ? { signal } : {}) })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new ApiError(0, '')
  }
  if (response.ok) return response
  if (response.status === 401) unknown()
  let problem: Partial<Problem> = {}
  try {
    problem = (await response.json()) as Problem
  } catch {
    // A proxy answered instead of Ombor: its status is all there is.
  }
  throw new ApiError(response.status, problem.detail ?? response.statusText, problem)
}

// Question is the parameters of a request by name; what is undefined or empty is not asked.
export type Question = { [name: string]: string | string[] | undefined }

// address writes a path with its parameters, leaving out what is not asked.
export function address(path: string, question: Question | object = {}): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(question)) {
    if (Array.isArray(value)) for (const one of value) params.append(name, one)
    else if (value) params.set(name, String(value))
  }
  const text = params.toString()
  return text ? `${path}?${text}` : path
}

export const valuesPath = (id: string) => `/v1/kpis/${encodeURIComponent(id)}/values`
