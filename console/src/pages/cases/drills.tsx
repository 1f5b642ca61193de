import { get } from "../../api/client";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { Listing } from "../../parts/table";
import { Subject, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

const after = (milliseconds: number | null | undefined) =>
  milliseconds === null || milliseconds === undefined ? "never" : `${(milliseconds / 1_000).toFixed(1)} s`;

/** Attacks that were played on purpose: whether they were found and ended, and how fast. */
export function Drills() {
  const parts = useParts("drills", {}, (next, signal) =>
    get("/api/v1/drills", { query: { limit: 50, ...(next ? { after: next } : {}) }, signal }),
  );
  return (
    <>
      <div className="panel-head">
        <p className="quiet">An attack that is played on purpose, from a device of its own, shows whether detection and response work.</p>
        <Age query={parts.query} />
      </div>
      <Listing
        parts={parts}
        what="Reading drills"
        empty={
          <Empty title="No drill was held yet">
            <p>Play one; it says how long it took to find and to end, and is kept here:</p>
            <pre>palisade drill</pre>
          </Empty>
        }
        caption="Drills"
        id={(drill) => drill.id}
        columns={[
          { name: "Scenario", cell: ({ report }) => report.scenario },
          { name: "Outcome", cell: ({ report }) => (report.passed ? <Tag tone="good">Passed</Tag> : <Tag tone="bad">Failed</Tag>) },
          { name: "Found after", cell: ({ report }) => after(report.detected_after_ms), label: true },
          { name: "Ended after", cell: ({ report }) => after(report.contained_after_ms), label: true },
          {
            name: "By",
            cell: ({ report }) => [report.detected_by[0], report.contained_by].filter(Boolean).join(", ") || "nobody",
            label: true,
          },
          { name: "Attacker", cell: ({ report }) => <Subject name={report.subject} />, label: true },
          { name: "Held", cell: (drill) => <Ago at={drill.recorded_at} />, label: true },
        ]}
      />
    </>
  );
}
