import { useQuery } from "@tanstack/react-query";

import { get } from "../../api/client";
import type { AnyEvent } from "../../api/types";
import { EventList } from "../../parts/event";
import { Empty, Loaded } from "../../parts/states";
import { Link } from "../../router";

const DAY_MS = 86_400_000;
/** How many lines there are at most. */
const LINES = 8;
/** How many events are looked at for them: what comes again and again must not push out the rest. */
const LOOKED_AT = 200;

/** What changed since yesterday, of what matters. */
export function LatestPanel() {
  const events = useQuery({
    queryKey: ["latest"],
    queryFn: ({ signal }) => {
      const since = new Date(Date.now() - DAY_MS).toISOString();
      return get("/api/v1/events", { query: { order: "newest", severity: "medium", since, limit: LOOKED_AT }, signal });
    },
    refetchInterval: 10_000,
  });
  return (
    <section className="panel whole" aria-labelledby="latest">
      <div className="panel-head">
        <h2 id="latest">What mattered in the last day</h2>
        <Link href="/activity">All activity</Link>
      </div>
      <Loaded query={events} what="Reading events">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="Nothing out of the ordinary">
              <p>Events of medium severity and above stand here. All others are on the page Activity.</p>
            </Empty>
          ) : (
            <Latest events={page.items.map((item) => item.event as AnyEvent)} />
          )
        }
      </Loaded>
    </section>
  );
}

/** The newest of each sort, with how often it came. */
function Latest({ events }: { events: readonly AnyEvent[] }) {
  const sorts = new Map<string, AnyEvent[]>();
  for (const event of events) {
    const sort = sortOf(event);
    const same = sorts.get(sort);
    if (same) same.push(event);
    else sorts.set(sort, [event]);
  }
  const shown = [...sorts.values()].slice(0, LINES);
  const again = new Map(shown.flatMap(([newest, ...older]) => (newest && older.length > 0 ? [[newest.id, older.length]] : [])));
  return <EventList label="Latest events" events={shown.flatMap(([newest]) => newest ?? [])} again={again} />;
}

/** Findings of one rule are one sort, whomever they are about; all else is by what it is and about whom. */
function sortOf(event: AnyEvent): string {
  if (event.kind === "found") return `found ${String(event["detector"] ?? event["title"])}`;
  const about = event.principal ? `${event.principal.type}/${event.principal.id}` : (event.source ?? "");
  const what = event.kind === "responded" ? String(event["action"]) : event.kind === "administrative" ? String(event["act"]) : "";
  return [event.kind, what, about].join(" ");
}
