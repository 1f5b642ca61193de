import { useQuery } from "@tanstack/react-query";

import { get } from "../../api/client";
import type { AnyEvent } from "../../api/types";
import { EventList } from "../../parts/event";
import { Empty, Loaded } from "../../parts/states";
import { Link } from "../../router";

const DAY_MS = 86_400_000;

/** What changed since yesterday, of what matters. */
export function LatestPanel() {
  const events = useQuery({
    queryKey: ["latest"],
    queryFn: ({ signal }) => {
      const since = new Date(Date.now() - DAY_MS).toISOString();
      return get("/api/v1/events", { query: { order: "newest", severity: "medium", since, limit: 8 }, signal });
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
            <EventList label="Latest events" events={page.items.map((item) => item.event as AnyEvent)} />
          )
        }
      </Loaded>
    </section>
  );
}
