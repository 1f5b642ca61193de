import { useRef } from "react";

import type { Schemas } from "../../api/client";
import { count, many } from "../../parts/tags";

type Status = Schemas["Status"];

interface Rates {
  in: number;
  out: number;
  denied: number;
}

/** Rates from two readings of the counters; none before there are two, or where the server started anew. */
function between(before: Status, after: Status): Rates | null {
  const seconds = (Date.parse(after.time) - Date.parse(before.time)) / 1_000;
  if (seconds <= 0 || before.gateway.started_at !== after.gateway.started_at) return null;
  return {
    in: (after.gateway.messages_in - before.gateway.messages_in) / seconds,
    out: (after.gateway.messages_out - before.gateway.messages_out) / seconds,
    denied: (after.pdp.denied - before.pdp.denied) / seconds,
  };
}

export function TrafficPanel({ status, at }: { status: Status; at: number }) {
  const last = useRef<{ at: number; status: Status; rates: Rates | null }>({ at, status, rates: null });
  if (last.current.at !== at) last.current = { at, status, rates: between(last.current.status, status) };
  const { rates } = last.current;
  const { gateway, pdp } = status;
  return (
    <section className="panel" aria-labelledby="traffic">
      <div className="panel-head">
        <h2 id="traffic">Traffic now</h2>
        <span className="quiet">{rates ? "messages, over the last reading" : "rates with the next reading"}</span>
      </div>
      <dl className="figures">
        <Figure name="connected" value={count(gateway.connected)} />
        <Figure name="in / s" value={rate(rates?.in)} />
        <Figure name="out / s" value={rate(rates?.out)} />
        <Figure name="denied / s" value={rate(rates?.denied)} isOdd={(rates?.denied ?? 0) > 0} />
      </dl>
      <p className="quiet">
        {count(pdp.decisions)} decisions since the start, {count(pdp.denied)} of them denials; {many(gateway.sessions, "session")}{" "}
        kept.
      </p>
    </section>
  );
}

function rate(value: number | undefined): string {
  if (value === undefined) return "–";
  return value < 10 ? value.toFixed(1) : count(Math.round(value));
}

function Figure({ name, value, isOdd = false }: { name: string; value: string; isOdd?: boolean }) {
  return (
    <div data-odd={isOdd || undefined}>
      <dt>{name}</dt>
      <dd className="figure">{value}</dd>
    </div>
  );
}
