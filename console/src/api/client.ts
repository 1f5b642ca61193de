// One way to the REST API: typed by the OpenAPI document, bounded in time, and clear about what went wrong.
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

type Json<A> = A extends { content: { "application/json": infer B } } ? B : never;
type Good<R> = R extends { 200: infer A } ? Json<A> : R extends { 201: infer A } ? Json<A> : R extends { 202: infer A } ? Json<A> : never;
type Method = "get" | "post" | "put" | "patch" | "delete";
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends { [K in M]: { responses: unknown } } ? P : never;
}[keyof paths];
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;
export type Answer<P extends keyof paths, M extends Method> = Operation<P, M> extends { responses: infer R } ? Good<R> : never;
type Query<P extends keyof paths> = Operation<P, "get"> extends { parameters: { query?: infer Q } } ? Q : never;
type Body<P extends keyof paths, M extends Method> = Operation<P, M> extends {
  requestBody: { content: { "application/json": infer B } };
}
  ? B
  : undefined;

/** How long an answer may take before the server counts as away. */
const PATIENCE_MS = 15_000;

/** What went wrong with a request. */
export class ApiError extends Error {
  /** When it was told. */
  readonly at = Date.now();

  constructor(
    /** The HTTP status; 0 where there was no answer. */
    readonly status: number,
    message: string,
    readonly problem: Partial<Schemas["Problem"]> & Record<string, unknown> = {},
    /** Seconds to wait, where the server says so. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  /** The approval that a second person must give first. */
  get approval(): string | null {
    return this.problem.type === "urn:palisade:problem:approval-needed" ? (this.problem.approval ?? null) : null;
  }

  get isAway(): boolean {
    return this.status === 0;
  }
}

// The token stays in this variable: a page that is closed or loaded again has forgotten it.
let token: string | null = null;
let onSignedOut: () => void = () => {};

export function setToken(value: string | null): void {
  token = value;
}

/** Who is told when the server no longer knows who we are. */
export function whenSignedOut(tell: () => void): void {
  onSignedOut = tell;
}

function fill(path: string, values: Record<string, string> = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
}

function withQuery(path: string, query: object | undefined): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** A request as it is, with our credentials: for what the document does not describe, and for streams. */
export async function ask(method: string, path: string, init: RequestInit = {}, patience = PATIENCE_MS): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  // A cookie alone does not change anything: a foreign page cannot send this header.
  else if (method !== "GET") headers.set("Palisade-Request", "1");
  const late = AbortSignal.timeout(patience);
  const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
  const credentials = token ? "omit" : "same-origin";
  let response: Response;
  try {
    response = await fetch(path, { ...init, method, headers, signal, credentials, cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, late.aborted ? "the server took too long to answer" : "the server does not answer");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get("Retry-After"));
  const detail = typeof problem.detail === "string" ? problem.detail : `the server answered ${response.status}`;
  return new ApiError(response.status, detail, problem, seconds > 0 ? seconds : null);
}

async function call<T>(method: string, path: string, init: RequestInit): Promise<T> {
  try {
    const response = await ask(method, path, init);
    return (response.status === 204 ? undefined : await response.json()) as T;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) onSignedOut();
    if (error instanceof ApiError || init.signal?.aborted) throw error;
    throw new ApiError(0, "the answer broke off");
  }
}

/** Reads. */
export function get<P extends PathOf<"get">>(
  path: P,
  options: { at?: Record<string, string>; query?: Query<P>; signal?: AbortSignal } = {},
): Promise<Answer<P, "get">> {
  const { at, query, signal } = options;
  return call("GET", withQuery(fill(path, at), query as object | undefined), signal ? { signal } : {});
}

/** Writes. `key` names the write: sent again under it, it is not done twice. */
export function send<M extends "post" | "put" | "patch" | "delete", P extends PathOf<M>>(
  method: M,
  path: P,
  options: { at?: Record<string, string>; body?: Body<P, M>; key?: string } = {},
): Promise<Answer<P, M>> {
  const headers: Record<string, string> = { "Idempotency-Key": options.key ?? newKey() };
  const approval = options.key && approvals.get(options.key);
  if (approval) headers["Palisade-Approval"] = approval;
  const init: RequestInit = { headers };
  if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  return call(method.toUpperCase(), fill(path, options.at), init);
}

/** Sends a request that the server itself named as the one that follows from what it showed. */
export function follow({ method, path, body }: Schemas["Remedy"], key: string): Promise<unknown> {
  return send(method.toLowerCase() as "put", path as PathOf<"put">, { body: (body ?? undefined) as never, key });
}

// Writes that a second person approved, by their keys: who sends one need not know of it.
const approvals = new Map<string, string>();

/** A key whose write goes out with this approval. */
export function keyWith(approval: string): string {
  const key = newKey();
  approvals.set(key, approval);
  return key;
}

export function newKey(): string {
  return crypto.randomUUID();
}
