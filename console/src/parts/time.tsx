// Moments as people read them: how long ago, with the exact moment one hover or one focus away.
import { useSyncExternalStore } from "react";

let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(tell: () => void): () => void {
  listeners.add(tell);
  // While nobody looked, it stood still.
  if (timer === undefined) now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(tell);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** `3 min`, `2 h`, `5 d`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1_000));
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return "0 s";
}

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function clockTime(at: string | number): string {
  return CLOCK.format(new Date(at));
}

export function exactTime(at: string | number): string {
  return EXACT.format(new Date(at));
}

export function Ago({ at }: { at: string }) {
  const now = useNow();
  const away = now - Date.parse(at);
  const text = away < -1_500 ? `in ${duration(-away)}` : away < 1_500 ? "just now" : `${duration(away)} ago`;
  return (
    <time dateTime={at} title={exactTime(at)}>
      {text}
    </time>
  );
}

/** Seconds, minutes or days as one of them. */
export function span(seconds: number): string {
  return duration(seconds * 1_000);
}
