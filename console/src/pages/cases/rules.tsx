import { get, send } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { count, SeverityTag, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

const STALE = ["rules"];
const set = (id: string, to: "enable" | "disable", key?: string) =>
  send("post", to === "enable" ? "/api/v1/rules/{id}/enable" : "/api/v1/rules/{id}/disable", { at: { id }, ...(key ? { key } : {}) });

/** What is looked for, and how often it was found. */
export function Rules() {
  const may = useMay();
  const parts = useParts("rules", {}, (after, signal) =>
    get("/api/v1/rules", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <>
      <div className="panel-head">
        <p className="quiet">What is looked for in the events. Those of your own are files; the shipped ones can be switched off.</p>
        <Age query={parts.query} />
      </div>
      <Loaded query={parts.query} what="Reading rules">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There is no rule">
              <p>
                Put Sigma rules into the directory of rules, then <code>palisade rules reload</code>.
              </p>
            </Empty>
          ) : (
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Rules</caption>
                <thead>
                  <tr>
                    <th scope="col">Rule</th>
                    <th scope="col">Severity</th>
                    <th scope="col">State</th>
                    <th scope="col" className="number">
                      Matched
                    </th>
                    <th scope="col">Last</th>
                    {may("detect:write") && (
                      <th scope="col">
                        <span className="hidden">Acts</span>
                      </th>
                    )}
                  </tr>
                </thead>
                <tbody>
                  {items.map((rule) => (
                    <tr key={rule.id}>
                      <th scope="row">
                        {rule.title}
                        <span className="under">
                          {rule.source === "own" ? "your own" : "shipped"} · <code>{rule.id}</code>
                        </span>
                      </th>
                      <td>
                        <SeverityTag of={rule.severity} />
                      </td>
                      <td>{rule.enabled ? <Tag tone="good">On</Tag> : <Tag tone="warn">Off</Tag>}</td>
                      <td className="number" data-name="Matched">
                        {count(rule.fired)}
                      </td>
                      <td data-name="Last">{rule.last_fired ? <Ago at={rule.last_fired} /> : "never"}</td>
                      {may("detect:write") && (
                        <td className="row-act">
                          {rule.enabled ? (
                            <Act
                              name="Switch off"
                              title={`Switch off "${rule.title}"?`}
                              reason="none"
                              act={(_, key) => set(rule.id, "disable", key)}
                              done={() => ({
                                text: `${rule.title} is off.`,
                                undo: () => set(rule.id, "enable").then(() => `${rule.title} is on again.`),
                              })}
                              stale={STALE}
                            >
                              <p>{rule.description} It finds nothing until it is on again. To silence it for one device, suppress its findings instead.</p>
                            </Act>
                          ) : (
                            <Act
                              name="Switch on"
                              isPrimary
                              title={`Switch on "${rule.title}"?`}
                              reason="none"
                              act={(_, key) => set(rule.id, "enable", key)}
                              done={() => ({
                                text: `${rule.title} is on.`,
                                undo: () => set(rule.id, "disable").then(() => `${rule.title} is off again.`),
                              })}
                              stale={STALE}
                            >
                              <p>{rule.description}</p>
                            </Act>
                          )}
                        </td>
                      )}
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
