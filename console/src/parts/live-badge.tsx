import { useLive } from "../api/live";

const WORDS = { live: "Live", joining: "Joining the stream", lost: "Stream lost, trying again", off: "Not live" };

export function LiveBadge() {
  const { state, why } = useLive();
  return (
    <p className="live" data-state={state} role="status" title={why ?? "Events arrive as they happen."}>
      <span className="dot" aria-hidden="true" />
      {WORDS[state]}
    </p>
  );
}
