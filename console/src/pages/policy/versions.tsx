import { get, send } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Pager, useParts } from "../../parts/pager";
import { Empty, Loaded } from "../../parts/states";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function Versions({ current }: { current: number | null }) {
  const may = useMay();
  const parts = useParts("policy-versions", {}, (after, signal) =>
    get("/api/v1/policy/versions", { query: { limit: 50, ...(after ? { after: Number(after) } : {}) }, signal }),
  );
  return (
    <Loaded query={parts.query} what="Reading versions">
      {({ items }) =>
        items.length === 0 ? (
          <Empty title="There is no version yet" />
        ) : (
          <>
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Versions of the policies</caption>
                <thead>
                  <tr>
                    <th scope="col">Version</th>
                    <th scope="col">Applied</th>
                    <th scope="col">By</th>
                    <th scope="col">Why</th>
                    <th scope="col">
                      <span className="hidden">Acts</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((version) => (
                    <tr key={version.version}>
                      <th scope="row">Version {version.version}</th>
                      <td>
                        <Ago at={version.applied_at} />
                      </td>
                      <td data-name="By">{version.author}</td>
                      <td data-name="Why">{version.reason}</td>
                      <td className="row-act">
                        {version.version === current ? (
                          <Tag tone="good">In force</Tag>
                        ) : (
                          may("policy:write") &&
                          current !== null && (
                            <Act
                              name="Roll back to it"
                              title={`Roll back to version ${version.version}?`}
                              reason="required"
                              act={(reason, key) =>
                                send("post", "/api/v1/policy/rollback", { body: { version: version.version, reason }, key })
                              }
                              done={(made) => ({ text: `The text of version ${version.version} is in force, as version ${made.version}.` })}
                              stale={["policy", "policy-versions", "status"]}
                            >
                              <p>Its text becomes a new version and decides at once. Nothing is lost: this one can be rolled back to.</p>
                            </Act>
                          )
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <Pager parts={parts} />
          </>
        )
      }
    </Loaded>
  );
}
