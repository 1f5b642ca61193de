import { get, send, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { useParts } from "../../parts/pager";
import { Listing } from "../../parts/table";
import { Empty } from "../../parts/states";
import { Ago } from "../../parts/time";

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
    <Listing
      parts={parts}
      what="Reading grants"
      empty={
        <Empty title="There is no grant">
          <p>Nobody may say or hear anything. Say which topics are whose:</p>
          <pre>palisade grant add --product thermostat --allow publish 'devices/{"{device}"}/telemetry/#'</pre>
        </Empty>
      }
      caption="Grants"
      id={(grant) => grant.id}
      columns={[
        { name: "Pattern", cell: (grant) => <code>{grant.pattern}</code> },
        { name: "Whose", cell: (grant) => scopeName(grant.scope) },
        { name: "May", cell: may, label: true },
        { name: "Last used", cell: (grant) => (grant.last_used_at ? <Ago at={grant.last_used_at} /> : "not seen"), label: true },
        mayDo("policy:write") && { name: "Acts", cell: (grant) => <Remove grant={grant} />, kind: "act" },
      ]}
    />
  );
}

function Remove({ grant }: { grant: Grant }) {
  const { id, pattern, scope, actions } = grant;
  return (
    <Act
      name="Remove"
      isDangerous
      title={`Remove the grant of ${pattern}?`}
      reason="none"
      act={(_, key) => send("delete", "/api/v1/grants/{id}", { at: { id }, key })}
      done={() => ({
        text: `The grant of ${pattern} is gone.`,
        undo: () => send("post", "/api/v1/grants", { body: { scope, pattern, actions } }).then(() => "It is granted again."),
      })}
      stale={["grants-list", "grants"]}
    >
      <p>What it allowed to {scopeName(scope)} ends at once, in open sessions too, where no other grant allows it.</p>
    </Act>
  );
}
