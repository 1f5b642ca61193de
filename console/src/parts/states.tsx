// What stands where data would: it is on its way, it cannot be had, or there is none yet.
import type { UseQueryResult } from "@tanstack/react-query";
import { useRef, type ReactNode } from "react";
import { Button } from "react-aria-components";

import { ApiError } from "../api/client";
import { duration, useNow } from "./time";

export function Waiting({ what }: { what: string }) {
  return (
    <p className="waiting" role="status">
      <span className="spinner" aria-hidden="true" />
      {what} …
    </p>
  );
}

/** Where there is nothing: why, and what the next step is. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

function advice(error: unknown): string {
  if (!(error instanceof ApiError)) return "Load the page again. If it stays so, the server's log says more.";
  if (error.isAway) return "The console tries again by itself. Check that the server runs and that this machine reaches it.";
  switch (error.status) {
    case 401:
      return "Sign in again.";
    case 403:
      return "Ask an administrator for the right to do this, or sign in as somebody who has it.";
    case 404:
      return "It may have been removed, or the address has a slip.";
    case 409:
      return "Something changed meanwhile: look at it again, then decide anew.";
    case 429:
      return "Wait a little, then try again.";
    default:
      return error.status >= 500 ? "Try again. If it stays so, the server's log says more." : "Correct what it names, then try again.";
  }
}

export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** Seconds until a refused request may be made again; 0 when it may. */
export function useWait(error: unknown): number {
  const now = useNow();
  if (!(error instanceof ApiError) || error.retryAfter === null) return 0;
  return Math.max(0, Math.ceil((error.at + error.retryAfter * 1_000 - now) / 1_000));
}

/** Counts down for the eye; an ear is told once. */
function Wait({ error }: { error: ApiError & { retryAfter: number } }) {
  const left = useWait(error);
  const spoken = useRef(`Try again in ${duration(error.retryAfter * 1_000)}.`).current;
  return (
    <p>
      <span className="hidden">{spoken}</span>
      <span aria-hidden="true" className="figure">
        {left > 0 ? `Try again in ${left} s.` : "You can try again now."}
      </span>
    </p>
  );
}

function isTimed(error: unknown): error is ApiError & { retryAfter: number } {
  return error instanceof ApiError && error.retryAfter !== null;
}

export function Trouble({
  error,
  again,
  todo,
}: {
  error: unknown;
  again?: (() => void) | undefined;
  /** What to do about it, where the page knows better. */
  todo?: string | undefined;
}) {
  const message = error instanceof Error ? error.message : String(error);
  const items = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  return (
    <div className="trouble" role="alert">
      <p className="trouble-title">{sentence(message)}</p>
      {items.length > 0 && (
        <ul>
          {items.map((item, index) => (
            <li key={index}>
              {item.field ? <code>{item.field}</code> : null} {item.line ? `line ${item.line}: ` : ""}
              {item.detail}
            </li>
          ))}
        </ul>
      )}
      {isTimed(error) ? <Wait error={error} /> : <p>{todo ?? advice(error)}</p>}
      {again && (
        <Button className="button" onPress={again}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** Shows an answer: while it is awaited, when it failed, and, where an old one is there, that it is old. */
export function Loaded<T>({
  query,
  what,
  children,
}: {
  query: UseQueryResult<T>;
  what: string;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <Stale query={query} />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError) return <Trouble error={query.error} again={() => void query.refetch()} />;
  return <Waiting what={what} />;
}

function Stale({ query }: { query: UseQueryResult<unknown> }) {
  const now = useNow();
  const message = query.error instanceof Error ? query.error.message : "the server does not answer";
  return (
    <p className="stale" role="status">
      {sentence(message)} What you see is {duration(now - query.dataUpdatedAt)} old.
    </p>
  );
}

/** How old what is shown is. */
export function Age({ query }: { query: { dataUpdatedAt: number; isFetching: boolean; isError: boolean } }) {
  const now = useNow();
  if (!query.dataUpdatedAt) return null;
  const age = now - query.dataUpdatedAt;
  return (
    <span className="age" data-old={query.isError || age > 60_000 || undefined}>
      {age < 2_000 ? "as of now" : `as of ${duration(age)} ago`}
    </span>
  );
}
