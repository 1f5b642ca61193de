import { get } from "../../api/client";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
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
      <Loaded query={parts.query} what="Reading drills">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No drill was held yet">
              <p>Play one; it says how long it took to find and to end, and is kept here:</p>
              <pre>palisade drill</pre>
            </Empty>
          ) : (
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Drills</caption>
                <thead>
                  <tr>
                    <th scope="col">Scenario</th>
                    <th scope="col">Outcome</th>
                    <th scope="col">Found after</th>
                    <th scope="col">Ended after</th>
                    <th scope="col">By</th>
                    <th scope="col">Attacker</th>
                    <th scope="col">Held</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map(({ id, recorded_at, report }) => (
                    <tr key={id}>
                      <th scope="row">{report.scenario}</th>
                      <td>{report.passed ? <Tag tone="good">Passed</Tag> : <Tag tone="bad">Failed</Tag>}</td>
                      <td data-name="Found after">{after(report.detected_after_ms)}</td>
                      <td data-name="Ended after">{after(report.contained_after_ms)}</td>
                      <td data-name="By">{[report.detected_by[0], report.contained_by].filter(Boolean).join(", ") || "nobody"}</td>
                      <td data-name="Attacker">
                        <Subject name={report.subject} />
                      </td>
                      <td data-name="Held">
                        <Ago at={recorded_at} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
      <Pager parts={parts} />
    </>
  );
}
