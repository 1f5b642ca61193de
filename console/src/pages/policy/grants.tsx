import { get, send, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Pager, useParts } from "../../parts/pager";
import { Empty, Loaded } from "../../parts/states";

type Grant = Schemas["Grant"];

function may(grant: Grant): string {
  const actions = Object.entries(grant.actions).filter(([, allowed]) => allowed);
  return actions.map(([action]) => action).join(", ");
}

export function scopeName(scope: Grant["scope"]): string {
  return scope.type === "fleet" ? "the whole fleet" : `${scope.type} ${scope.id}`;
}

export function GrantTable() {
  const mayDo = useMay();
  const parts = useParts("grants-list", {}, (after, signal) =>
    get("/api/v1/grants", { query: { limit: 100, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <Loaded query={parts.query} what="Reading grants">
      {({ items }) =>
        items.length === 0 ? (
          <Empty title="There is no grant">
            <p>Nobody may say or hear anything. Say which topics are whose:</p>
            <pre>palisade grant add --product thermostat --allow publish 'devices/{"{device}"}/telemetry/#'</pre>
          </Empty>
        ) : (
          <>
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Grants</caption>
                <thead>
                  <tr>
                    <th scope="col">Pattern</th>
                    <th scope="col">Whose</th>
                    <th scope="col">May</th>
                    {mayDo("policy:write") && (
                      <th scope="col">
                        <span className="hidden">Acts</span>
                      </th>
                    )}
                  </tr>
                </thead>
                <tbody>
                  {items.map((grant) => (
                    <tr key={grant.id}>
                      <th scope="row">
                        <code>{grant.pattern}</code>
                      </th>
                      <td>{scopeName(grant.scope)}</td>
                      <td data-name="May">{may(grant)}</td>
                      {mayDo("policy:write") && (
                        <td className="row-act">
                          <Act
                            name="Remove"
                            isDangerous
                            title={`Remove the grant of ${grant.pattern}?`}
                            reason="none"
                            act={(_, key) => send("delete", "/api/v1/grants/{id}", { at: { id: grant.id }, key })}
                            done={() => ({
                              text: `The grant of ${grant.pattern} is gone.`,
                              undo: () =>
                                send("post", "/api/v1/grants", {
                                  body: { scope: grant.scope, pattern: grant.pattern, actions: grant.actions },
                                }).then(() => "It is granted again."),
                            })}
                            stale={["grants-list", "grants"]}
                          >
                            <p>
                              What it allowed to {scopeName(grant.scope)} ends at once, in open sessions too, where no other
                              grant allows it.
                            </p>
                          </Act>
                        </td>
                      )}
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
