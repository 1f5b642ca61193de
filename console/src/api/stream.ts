// Server-sent events by `fetch`, since `EventSource` cannot send a token.
import { ask } from "./client";

export interface Message {
  kind: string;
  id: string;
  data: string;
}

/** The server sends a sign of life each 15 s. */
const SILENCE_MS = 40_000;

/** What a stream says, until it ends or breaks, or one stops it. */
export async function* listenTo(
  path: string,
  stop: AbortSignal,
  more: Record<string, string> = {},
): AsyncGenerator<"open" | Message> {
  // The time limit of a request is not for a stream: silence is what ends it.
  const silence = new AbortController();
  const signal = AbortSignal.any([stop, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const headers = { Accept: "text/event-stream", ...more };
    const response = await ask("GET", path, { headers, signal }, 2 ** 31 - 1);
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
  return data.length > 0 ? { kind, id, data: data.join("\n") } : null;
}
