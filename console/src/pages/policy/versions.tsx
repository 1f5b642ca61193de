import { get, send } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { useParts } from "../../parts/pager";
import { Empty } from "../../parts/states";
import { Listing } from "../../parts/table";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function Versions({ current }: { current: number | null }) {
  const may = useMay();
  const parts = useParts("policy-versions", {}, (after, signal) =>
    get("/api/v1/policy/versions", { query: { limit: 50, ...(after ? { after: Number(after) } : {}) }, signal }),
  );
  return (
    <Listing
      parts={parts}
      what="Reading versions"
      empty={<Empty title="There is no version yet" />}
      caption="Versions of the policies"
      id={(version) => version.version}
      columns={[
        { name: "Version", cell: (version) => `Version ${version.version}` },
        { name: "Applied", cell: (version) => <Ago at={version.applied_at} /> },
        { name: "By", cell: (version) => version.author, label: true },
        { name: "Why", cell: (version) => version.reason, label: true },
        {
          name: "Acts",
          kind: "act",
          cell: ({ version }) => {
            if (version === current) return <Tag tone="good">In force</Tag>;
            return may("policy:write") && current !== null && <RollBack to={version} />;
          },
        },
      ]}
    />
  );
}

function RollBack({ to }: { to: number }) {
  return (
    <Act
      name="Roll back to it"
      title={`Roll back to version ${to}?`}
      reason="required"
      act={(reason, key) => send("post", "/api/v1/policy/rollback", { body: { version: to, reason }, key })}
      done={(made) => ({ text: `The text of version ${to} is in force, as version ${made.version}.` })}
      stale={["policy", "policy-versions", "status"]}
    >
      <p>Its text becomes a new version and decides at once. Nothing is lost: this one can be rolled back to.</p>
    </Act>
  );
}
