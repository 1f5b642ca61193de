// The stream of events: one for the whole console. What it says makes what is shown be asked again, and
// the newest events are kept for whoever shows them.
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { ApiError, ask } from "./client";
import { useMay } from "./session";
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
/** The server sends a sign of life each 15 s. */
const SILENCE_MS = 40_000;

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
      for await (const message of stream(last, stop)) {
        if (message === "open") {
          tries = 0;
          say("live", null);
          continue;
        }
        last = message.position;
        take(message.kind, message.position, message.data);
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

type Message = { kind: string; position: number; data: string };

/** Server-sent events by `fetch`, since `EventSource` cannot send a token. */
async function* stream(last: number | null, stop: AbortSignal): AsyncGenerator<"open" | Message> {
  // The time limit of a request is not for a stream: silence is what ends it.
  const silence = new AbortController();
  const signal = AbortSignal.any([stop, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (last !== null) headers["Last-Event-ID"] = String(last);
  try {
    const response = await ask("GET", "/api/v1/events", { headers, signal }, 2 ** 31 - 1);
    yield "open";
    if (!response.body) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const message = parse(block);
        if (message) yield message;
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

function parse(block: string): Message | null {
  let kind = "";
  let id = "";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).replace(/^ /, "");
    const field = line.slice(0, colon);
    if (field === "event") kind = value;
    else if (field === "id") id = value;
    else if (field === "data") data.push(value);
  }
  return id && data.length > 0 ? { kind, position: Number(id), data: data.join("\n") } : null;
}
