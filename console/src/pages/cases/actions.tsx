import { useQuery } from "@tanstack/react-query";

import { get, send, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Empty, Loaded, sentence } from "../../parts/states";
import { Subject, Tag, type Tone } from "../../parts/tags";
import { Ago } from "../../parts/time";

type Action = Schemas["Action"];

const STATES: Record<Schemas["ActionState"], { word: string; tone: Tone }> = {
  observed: { word: "Only observed", tone: "plain" },
  dry_run: { word: "Dry run", tone: "plain" },
  waiting: { word: "Waits for you", tone: "warn" },
  rejected: { word: "Rejected", tone: "plain" },
  running: { word: "Running", tone: "info" },
  done: { word: "Done", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  undoing: { word: "Being undone", tone: "info" },
  undone: { word: "Undone", tone: "plain" },
};

export function Actions({ id }: { id: string }) {
  const actions = useQuery({
    queryKey: ["actions", "case", id],
    queryFn: ({ signal }) => get("/api/v1/actions", { query: { case: id, limit: 50 }, signal }),
    refetchInterval: 10_000,
  });
  return (
    <section className="panel whole" aria-labelledby="actions">
      <div className="panel-head">
        <h2 id="actions">Actions</h2>
      </div>
      <Loaded query={actions} what="Reading its actions">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nothing was done about it">
              <p>No playbook answers this finding, or the guard rails stopped it. You can act on the device itself.</p>
            </Empty>
          ) : (
            <ul className="actions">
              {items.map((action) => (
                <OneAction key={action.id} of={action} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}

function OneAction({ of }: { of: Action }) {
  const may = useMay();
  const { word, tone } = STATES[of.state];
  return (
    <li>
      <div className="action-what">
        <p>
          <strong>{of.action}</strong> <Subject name={of.target} /> <Tag tone={tone}>{word}</Tag>
        </p>
        <p className="quiet">
          {sentence(of.why || of.reason)} Ordered {of.ordered_by ? `by ${of.ordered_by}` : of.playbook ? `by the playbook ${of.playbook}` : ""}{" "}
          <Ago at={of.ordered_at} />
          {of.until && (of.state === "done" || of.state === "running") ? (
            <>
              ; it ends by itself <Ago at={of.until} />
            </>
          ) : null}
          {of.decided_by ? `; decided by ${of.decided_by}` : ""}.
        </p>
      </div>
      {may("respond:approve") && <Decisions of={of} />}
    </li>
  );
}

const STALE = ["actions", "case", "cases", "response", "device", "sessions"];

function Decisions({ of }: { of: Action }) {
  const at = { id: of.id };
  const undo = (reason: string, key?: string) =>
    send("post", "/api/v1/actions/{id}/undo", { at, body: { reason }, ...(key ? { key } : {}) });
  const what = `${of.action} on ${of.target}`;
  if (of.state === "waiting") {
    return (
      <div className="head-acts">
        <Act
          name="Approve"
          icon="check"
          isPrimary
          title={`Approve ${what}?`}
          act={(reason, key) => send("post", "/api/v1/actions/{id}/approve", { at, body: { reason }, key })}
          done={(action) => ({
            text: `${what}: ${STATES[action.state].word.toLowerCase()}.`,
            undo: () => undo("undo of the approval").then(() => `${what} is undone.`),
          })}
          stale={STALE}
        >
          <p>It is done at once. Its impact is {of.impact}{of.impact === "permanent" ? ": it cannot be undone" : ", and it can be undone"}.</p>
        </Act>
        <Act
          name="Reject"
          icon="close"
          title={`Reject ${what}?`}
          act={(reason, key) => send("post", "/api/v1/actions/{id}/reject", { at, body: { reason }, key })}
          done={() => ({ text: `${what} is rejected.` })}
          stale={STALE}
        >
          <p>It is not done, and does not wait any longer. The case stays open.</p>
        </Act>
      </div>
    );
  }
  if (of.can_undo) {
    return (
      <Act
        name="Undo"
        icon="undo"
        title={`Undo ${what}?`}
        act={(reason, key) => undo(reason, key)}
        done={(action) => ({ text: `${what}: ${STATES[action.state].word.toLowerCase()}.` })}
        stale={STALE}
      >
        <p>What it did is taken back, as far as nothing else holds it.</p>
      </Act>
    );
  }
  return null;
}
