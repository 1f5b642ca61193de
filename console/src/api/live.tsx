// The stream of events: one for the whole console. What it says makes what is shown be asked again, and
// the newest events are kept for whoever shows them.
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { ApiError } from "./client";
import { useMay } from "./session";
import { listenTo } from "./stream";
import type { LiveEvent } from "./types";

export type LiveState = "live" | "joining" | "lost" | "off";

interface Live {
  state: LiveState;
  /** Why there is no stream, or why it broke. */
  why: string | null;
  /** The newest events, newest first. */
  events: readonly LiveEvent[];
  /** How many came that were too many to show. */
  skipped: number;
}

const KEPT = 200;
/** Events of one turn beyond these are counted and not read: a fleet can say more than a page can show. */
const PER_TURN = 200;
const TURN_MS = 500;

const Context = createContext<Live>({ state: "off", why: null, events: [], skipped: 0 });

export function useLive(): Live {
  return useContext(Context);
}

/** What an event of a kind makes old. */
const STALE: Record<string, readonly string[]> = {
  posture_changed: ["device", "devices", "status", "trust"],
  registered: ["devices", "status"],
  enrolled: ["device", "devices", "status"],
  admitted: ["sessions"],
  disconnected: ["sessions"],
  found: ["cases", "case", "findings"],
  responded: ["actions", "case", "cases", "response"],
  administrative: ["device", "cases", "case", "policy"],
};

export function LiveProvider({ children }: { children: ReactNode }) {
  const may = useMay();
  const queries = useQueryClient();
  const isAllowed = may("events:read");
  const [live, setLive] = useState<Live>({
    state: isAllowed ? "joining" : "off",
    why: isAllowed ? null : "Live events need the scope events:read.",
    events: [],
    skipped: 0,
  });
  const waiting = useRef<{ events: LiveEvent[]; kinds: Set<string>; skipped: number }>({
    events: [],
    kinds: new Set(),
    skipped: 0,
  });

  useEffect(() => {
    if (!isAllowed) return;
    const stop = new AbortController();
    const take = (kind: string, position: number, data: string) => {
      const turn = waiting.current;
      turn.kinds.add(kind);
      if (turn.events.length >= PER_TURN) turn.skipped += 1;
      else turn.events.push({ position, event: JSON.parse(data) as LiveEvent["event"] });
    };
    const say = (state: LiveState, why: string | null) => setLive((live) => ({ ...live, state, why }));
    const turn = setInterval(() => {
      const { events, kinds, skipped } = waiting.current;
      if (kinds.size === 0) return;
      waiting.current = { events: [], kinds: new Set(), skipped: 0 };
      setLive((live) => ({
        ...live,
        events: [...events.reverse(), ...live.events].slice(0, KEPT),
        skipped: live.skipped + skipped,
      }));
      makeStale(queries, kinds);
    }, TURN_MS);
    void listen(take, say, stop.signal);
    return () => {
      clearInterval(turn);
      stop.abort();
    };
  }, [isAllowed, queries]);

  const value = useMemo(() => live, [live]);
  return <Context value={value}>{children}</Context>;
}

function makeStale(queries: QueryClient, kinds: ReadonlySet<string>): void {
  const names = new Set([...kinds].flatMap((kind) => STALE[kind] ?? []));
  for (const name of names) void queries.invalidateQueries({ queryKey: [name] }, { cancelRefetch: false });
}

/** Listens until told to stop; goes on where it was when the stream breaks. */
async function listen(
  take: (kind: string, position: number, data: string) => void,
  say: (state: LiveState, why: string | null) => void,
  stop: AbortSignal,
): Promise<void> {
  let last: number | null = null;
  let tries = 0;
  while (!stop.aborted) {
    let wait = Math.min(30_000, 1_000 * 2 ** tries);
    try {
      const headers: Record<string, string> = last === null ? {} : { "Last-Event-ID": String(last) };
      for await (const message of listenTo("/api/v1/events", stop, headers)) {
        if (message === "open") {
          tries = 0;
          say("live", null);
        } else if (message.id) {
          last = Number(message.id);
          take(message.kind, last, message.data);
        }
      }
      say("joining", "The stream ended; joining it again.");
    } catch (error) {
      if (stop.aborted) return;
      const why = error instanceof Error ? error.message : String(error);
      say("lost", why);
      if (error instanceof ApiError && error.retryAfter) wait = error.retryAfter * 1_000;
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return;
    }
    tries += 1;
    await new Promise<void>((done) => {
      const timer = setTimeout(done, wait);
      stop.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
    });
  }
}
