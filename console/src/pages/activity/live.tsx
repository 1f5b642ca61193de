import { useMemo, useState } from "react";
import { ToggleButton } from "react-aria-components";

import { useLive } from "../../api/live";
import type { AnyEvent } from "../../api/types";
import { EVENT_KINDS, EventList, kindWord } from "../../parts/event";
import { Choice } from "../../parts/fields";
import { LiveBadge } from "../../parts/live-badge";
import { Empty } from "../../parts/states";
import { count } from "../../parts/tags";

export function LivePart() {
  const { events, skipped, state, why } = useLive();
  const [held, setHeld] = useState<readonly AnyEvent[] | null>(null);
  const [kind, setKind] = useState<AnyEvent["kind"] | "">("");
  const all = useMemo(() => events.map(({ event }) => event), [events]);
  const shown = (held ?? all).filter((event) => kind === "" || event.kind === kind);
  return (
    <section aria-label="Live events">
      <div className="live-bar">
        <Choice
          label="Kind"
          value={kind}
          onChange={setKind}
          options={[{ value: "", word: "All" }, ...EVENT_KINDS.map((kind) => ({ value: kind, word: kindWord(kind) }))]}
        />
        <ToggleButton className="button" isSelected={held !== null} onChange={(hold) => setHeld(hold ? all : null)}>
          {held ? "Go on" : "Hold still"}
        </ToggleButton>
        <LiveBadge />
        {skipped > 0 && <span className="quiet">{count(skipped)} events came too fast to be shown; the search has them.</span>}
      </div>
      {shown.length === 0 ? (
        <Empty title={state === "live" ? "Nothing has happened since you opened the console" : "There is no stream now"}>
          <p>{why ?? "What happens from now on stands here at once. What happened before is in the search."}</p>
        </Empty>
      ) : (
        <div className="panel">
          <EventList label="Live events" events={shown} />
        </div>
      )}
    </section>
  );
}
