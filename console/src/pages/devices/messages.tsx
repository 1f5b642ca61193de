// What a device says and hears, as it passes. Watching is an act: it begins by a press, stands on the ledger, and does not
// begin again by itself.
import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";

import { ApiError, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { listenTo } from "../../api/stream";
import { Empty, sentence } from "../../parts/states";
import { Table } from "../../parts/table";
import { count, many, Tag } from "../../parts/tags";
import { clockTime } from "../../parts/time";
import { readPayload } from "./payload";

type Passed = Schemas["PassedMessage"] & { readonly number: number };

type Watch = { state: "idle" } | { state: "joining" | "watching"; reads: boolean } | { state: "ended"; why: string };

/** Messages that are kept to be shown. */
const KEPT = 100;
const TURN_MS = 250;

export function Messages({ id }: { id: string }) {
  const may = useMay();
  const [watch, setWatch] = useState<Watch>({ state: "idle" });
  const [messages, setMessages] = useState<readonly Passed[]>([]);
  const [skipped, setSkipped] = useState(0);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);

  const begin = (reads: boolean) => {
    stop.current?.abort();
    const mine = new AbortController();
    stop.current = mine;
    setMessages([]);
    setSkipped(0);
    setWatch({ state: "joining", reads });
    const take = (more: readonly Passed[]) => setMessages((known) => [...more, ...known].slice(0, KEPT));
    void follow(id, reads, mine.signal, {
      opened: () => setWatch({ state: "watching", reads }),
      take,
      skip: (more) => setSkipped((known) => known + more),
    }).then((why) => {
      if (!mine.signal.aborted) setWatch({ state: "ended", why });
    });
  };
  const end = () => {
    stop.current?.abort();
    setWatch({ state: "ended", why: "you stopped it" });
  };

  const isOn = watch.state === "joining" || watch.state === "watching";
  return (
    <section className="panel" aria-labelledby="messages">
      <div className="panel-head">
        <h2 id="messages">Messages</h2>
        <State of={watch} />
      </div>
      <div className="messages-bar">
        {isOn ? (
          <Button className="button" onPress={end}>
            Stop
          </Button>
        ) : (
          <>
            {may("messages:watch") && (
              <Button className="button primary" onPress={() => begin(false)}>
                Watch that messages pass
              </Button>
            )}
            {may("messages:read") && (
              <Button className="button" onPress={() => begin(true)}>
                Read them too
              </Button>
            )}
          </>
        )}
        <p className="quiet">That you watch is written into the ledger, and whether you read what is in the messages.</p>
      </div>
      {watch.state === "ended" && (
        <p className="stale" role="status">
          {sentence(`the watching has ended: ${watch.why}`)}
        </p>
      )}
      {skipped > 0 && (
        <p className="quiet" role="status">
          {many(skipped, "message is", "messages are")} not shown: more than 50 passed in a second.
        </p>
      )}
      {messages.length > 0 ? (
        <MessageTable messages={messages} reads={messages.some((one) => one.payload_base64 != null)} />
      ) : (
        <Nothing of={watch} />
      )}
    </section>
  );
}

function State({ of }: { of: Watch }) {
  if (of.state === "joining") return <Tag>Joining</Tag>;
  if (of.state === "watching") return <Tag tone="good">{of.reads ? "Reading" : "Watching"}</Tag>;
  return null;
}

function Nothing({ of }: { of: Watch }) {
  if (of.state === "watching" || of.state === "joining") {
    return (
      <Empty title="Nothing has passed since you began to watch">
        <p>What the device publishes and policy lets, and what it is sent, stands here at once. What was denied is in its timeline.</p>
      </Empty>
    );
  }
  return (
    <Empty title="You do not watch this device">
      <p>Watch to see on which topics it speaks and hears, how often and how much. Nothing is kept: it is gone when you leave.</p>
    </Empty>
  );
}

function MessageTable({ messages, reads }: { messages: readonly Passed[]; reads: boolean }) {
  return (
    <Table
      caption="Messages that passed, newest first"
      items={messages}
      id={(one) => one.number}
      columns={[
        { name: "When", cell: (one) => clockTime(one.at), kind: "nowrap" },
        { name: "Way", cell: (one) => (one.way === "published" ? <Tag tone="info">Said</Tag> : <Tag>Heard</Tag>) },
        { name: "Topic", cell: (one) => <code>{one.topic}</code>, kind: "wide" },
        { name: "QoS", cell: (one) => one.qos, label: true, kind: "number" },
        { name: "Retained", cell: (one) => (one.retain ? "yes" : "no"), label: true },
        { name: "Bytes", cell: (one) => count(one.size), label: true, kind: "number" },
        reads && { name: "Payload", cell: (one) => <Content of={one} />, kind: "wide" },
      ]}
    />
  );
}

function Content({ of }: { of: Passed }) {
  if (of.payload_base64 == null) return <>{of.withheld ? "withheld: your role does not show it" : "–"}</>;
  const { form, text } = readPayload(of.payload_base64);
  if (form === "empty") return <span className="quiet">empty</span>;
  const isCut = of.size > Math.floor((of.payload_base64.length * 3) / 4);
  return (
    <figure className="payload">
      <figcaption className="quiet">{isCut ? `${form}, the beginning` : form}</figcaption>
      <pre tabIndex={0} aria-label={`Payload as ${form}`}>
        {text}
      </pre>
    </figure>
  );
}

interface Ears {
  opened(): void;
  take(messages: readonly Passed[]): void;
  skip(count: number): void;
}

let numbers = 0;

/** Watches until it ends; says why it did. */
async function follow(id: string, reads: boolean, stop: AbortSignal, ears: Ears): Promise<string> {
  const path = `/api/v1/devices/${encodeURIComponent(id)}/messages${reads ? "/payloads" : ""}`;
  let waiting: Passed[] = [];
  const show = () => {
    if (waiting.length > 0) ears.take(waiting.toReversed());
    waiting = [];
  };
  const turn = setInterval(show, TURN_MS);
  try {
    for await (const message of listenTo(path, stop)) {
      if (message === "open") ears.opened();
      else if (message.kind === "message") waiting.push({ ...JSON.parse(message.data), number: (numbers += 1) });
      else if (message.kind === "skipped") ears.skip(Number(JSON.parse(message.data).count));
      else if (message.kind === "end") return String(JSON.parse(message.data).why);
      if (waiting.length > KEPT) waiting.shift();
    }
    return "the connection broke off";
  } catch (error) {
    return error instanceof ApiError ? error.message : "the connection broke off";
  } finally {
    clearInterval(turn);
    show();
  }
}
