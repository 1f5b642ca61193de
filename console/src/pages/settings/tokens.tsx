import { get, send } from "../../api/client";
import { Act } from "../../parts/act";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function Tokens() {
  const parts = useParts("api-tokens", {}, (after, signal) =>
    get("/api/v1/api-tokens", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <section className="panel whole" aria-labelledby="tokens">
      <div className="panel-head">
        <h2 id="tokens">API tokens</h2>
        <Age query={parts.query} />
      </div>
      <Loaded query={parts.query} what="Reading tokens">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There is no API token">
              <p>Programs sign in with one. Make it with the scopes that it needs and no others:</p>
              <pre>palisade api-token create dashboard --scope devices:read --ttl 90d</pre>
            </Empty>
          ) : (
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">API tokens</caption>
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">State</th>
                    <th scope="col">May</th>
                    <th scope="col">Last used</th>
                    <th scope="col">Ends</th>
                    <th scope="col">
                      <span className="hidden">Acts</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((token) => (
                    <tr key={token.id}>
                      <th scope="row">{token.name}</th>
                      <td>{token.revoked ? <Tag>Revoked</Tag> : <Tag tone="good">Valid</Tag>}</td>
                      <td data-name="May">{token.scopes.includes("*") ? "everything" : token.scopes.join(", ")}</td>
                      <td data-name="Used">{token.last_used_at ? <Ago at={token.last_used_at} /> : "never"}</td>
                      <td data-name="Ends">{token.expires_at ? <Ago at={token.expires_at} /> : "has no end"}</td>
                      <td className="row-act">
                        {!token.revoked && (
                          <Act
                            name="Revoke"
                            isDangerous
                            title={`Revoke the token ${token.name}?`}
                            reason="none"
                            act={(_, key) => send("delete", "/api/v1/api-tokens/{id}", { at: { id: token.id }, key })}
                            done={() => ({ text: `The token ${token.name} is revoked.` })}
                            stale={["api-tokens"]}
                          >
                            <p>Whoever uses it is refused from the next request on. This cannot be undone: make a new one instead.</p>
                          </Act>
                        )}
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
    </section>
  );
}
