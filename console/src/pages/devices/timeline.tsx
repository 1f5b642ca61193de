import { get } from "../../api/client";
import type { AnyEvent } from "../../api/types";
import { EventList } from "../../parts/event";
import { Pager, useParts } from "../../parts/pager";
import { Empty, Loaded } from "../../parts/states";

export function Timeline({ id }: { id: string }) {
  const parts = useParts("timeline", { id }, (after, signal) =>
    get("/api/v1/events", {
      query: { principal: `device/${id}`, order: "newest", limit: 50, ...(after ? { after: Number(after) } : {}) },
      signal,
    }),
  );
  return (
    <section className="panel" aria-label="Timeline">
      <Loaded query={parts.query} what="Reading its events">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="Nothing is known of it yet">
              <p>What the device does, and what is done to it, stands here for as long as events are kept.</p>
            </Empty>
          ) : (
            <EventList hideAbout label="Events of the device" events={page.items.map((item) => item.event as AnyEvent)} />
          )
        }
      </Loaded>
      <Pager parts={parts} />
    </section>
  );
}
