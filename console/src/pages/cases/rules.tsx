import { get, send, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { Listing } from "../../parts/table";
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
      <Listing
        parts={parts}
        what="Reading rules"
        empty={
          <Empty title="There is no rule">
            <p>
              Put Sigma rules into the directory of rules, then <code>palisade rules reload</code>.
            </p>
          </Empty>
        }
        caption="Rules"
        id={(rule) => rule.id}
        columns={[
          {
            name: "Rule",
            cell: (rule) => (
              <>
                {rule.title}
                <span className="under">
                  {rule.source === "own" ? "your own" : "shipped"} · <code>{rule.id}</code>
                </span>
              </>
            ),
          },
          { name: "Severity", cell: (rule) => <SeverityTag of={rule.severity} /> },
          { name: "State", cell: (rule) => (rule.enabled ? <Tag tone="good">On</Tag> : <Tag tone="warn">Off</Tag>) },
          { name: "Matched", cell: (rule) => count(rule.fired), label: true, kind: "number" },
          { name: "Last", cell: (rule) => (rule.last_fired ? <Ago at={rule.last_fired} /> : "never"), label: true },
          may("detect:write") && { name: "Acts", cell: (rule) => <Switch rule={rule} />, kind: "act" },
        ]}
      />
    </>
  );
}

function Switch({ rule }: { rule: Schemas["Rule"] }) {
  if (rule.enabled) {
    return (
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
    );
  }
  return (
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
  );
}
