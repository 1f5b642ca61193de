import { useState } from "react";
import { Button } from "react-aria-components";

import { get } from "../../api/client";
import type { AnyEvent, Severity } from "../../api/types";
import { EVENT_KINDS, EventList, kindWord } from "../../parts/event";
import { Choice, Field } from "../../parts/fields";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { SEVERITIES } from "../../parts/tags";

interface Filter {
  kind: AnyEvent["kind"] | "";
  severity: Severity | "";
  principal: string;
  source: string;
  hours: string;
}

const NONE: Filter = { kind: "", severity: "", principal: "", source: "", hours: "24" };

function named(filter: Filter) {
  const principal = filter.principal.trim();
  const source = filter.source.trim();
  const since = filter.hours ? { since: new Date(Date.now() - Number(filter.hours) * 3_600_000).toISOString() } : {};
  return {
    ...(filter.kind ? { kind: filter.kind } : {}),
    ...(filter.severity ? { severity: filter.severity } : {}),
    ...(principal ? { principal: principal.includes("/") ? principal : `device/${principal}` } : {}),
    ...(source ? { source } : {}),
    ...since,
  };
}

export function SearchPart() {
  const [wanted, setWanted] = useState(NONE);
  const [typed, setTyped] = useState({ principal: "", source: "" });
  const set = (values: Partial<Filter>) => setWanted((filter) => ({ ...filter, ...values }));
  const parts = useParts(
    "events",
    { ...wanted },
    (after, signal) =>
      get("/api/v1/events", {
        query: { ...named(wanted), order: "newest", limit: 50, ...(after ? { after: Number(after) } : {}) },
        signal,
      }),
    30_000,
  );
  return (
    <section aria-label="Search of events">
      <form
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          set(typed);
        }}
      >
        <Choice
          label="Kind"
          value={wanted.kind}
          onChange={(kind) => set({ kind })}
          options={[{ value: "", word: "All" }, ...EVENT_KINDS.map((kind) => ({ value: kind, word: kindWord(kind) }))]}
        />
        <Choice
          label="Severity"
          value={wanted.severity}
          onChange={(severity) => set({ severity })}
          options={[
            { value: "", word: "Any" },
            ...(Object.keys(SEVERITIES) as Severity[]).map((name) => ({ value: name, word: `${SEVERITIES[name].word} and above` })),
          ]}
        />
        <Choice
          label="Since"
          value={wanted.hours}
          onChange={(hours) => set({ hours })}
          options={[
            { value: "1", word: "an hour ago" },
            { value: "24", word: "a day ago" },
            { value: "168", word: "a week ago" },
            { value: "", word: "the beginning" },
          ]}
        />
        <Field
          label="About (device id)"
          value={typed.principal}
          onChange={(principal) => setTyped({ ...typed, principal })}
          maxLength={72}
          placeholder="cam-0001"
        />
        <Field label="From address" value={typed.source} onChange={(source) => setTyped({ ...typed, source })} maxLength={45} />
        <Button type="submit" className="button primary">
          Search
        </Button>
      </form>
      <Loaded query={parts.query} what="Searching">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="No event is like that">
              <p>Loosen a filter, or look further back.</p>
            </Empty>
          ) : (
            <div className="panel">
              <div className="panel-head">
                <h2>Newest first</h2>
                <Age query={parts.query} />
              </div>
              <EventList label="Found events" events={page.items.map((item) => item.event as AnyEvent)} />
            </div>
          )
        }
      </Loaded>
      <Pager parts={parts} />
    </section>
  );
}
