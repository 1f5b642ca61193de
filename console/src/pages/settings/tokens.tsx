import { get, send } from "../../api/client";
import { Act } from "../../parts/act";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { Listing } from "../../parts/table";
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
      <Listing
        parts={parts}
        what="Reading tokens"
        empty={
          <Empty title="There is no API token">
            <p>Programs sign in with one. Make it with the scopes that it needs and no others:</p>
            <pre>palisade api-token create dashboard --scope devices:read --ttl 90d</pre>
          </Empty>
        }
        caption="API tokens"
        id={(token) => token.id}
        columns={[
          { name: "Name", cell: (token) => token.name },
          { name: "State", cell: (token) => (token.revoked ? <Tag>Revoked</Tag> : <Tag tone="good">Valid</Tag>) },
          { name: "May", cell: ({ scopes }) => (scopes.includes("*") ? "everything" : scopes.join(", ")), label: true },
          { name: "Last used", cell: (one) => (one.last_used_at ? <Ago at={one.last_used_at} /> : "never"), label: "Used" },
          { name: "Ends", cell: (one) => (one.expires_at ? <Ago at={one.expires_at} /> : "has no end"), label: true },
          { name: "Acts", cell: (token) => !token.revoked && <Revoke {...token} />, kind: "act" },
        ]}
      />
    </section>
  );
}

function Revoke({ id, name }: { id: string; name: string }) {
  return (
    <Act
      name="Revoke"
      isDangerous
      title={`Revoke the token ${name}?`}
      reason="none"
      act={(_, key) => send("delete", "/api/v1/api-tokens/{id}", { at: { id }, key })}
      done={() => ({ text: `The token ${name} is revoked.` })}
      stale={["api-tokens"]}
    >
      <p>Whoever uses it is refused from the next request on. This cannot be undone: make a new one instead.</p>
    </Act>
  );
}
