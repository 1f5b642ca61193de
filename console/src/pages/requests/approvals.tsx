import { get, send, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Act } from "../../parts/act";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { Tag, type Tone } from "../../parts/tags";
import { Ago } from "../../parts/time";

type Approval = Schemas["Approval"];

const STALE = ["approvals"];
const STATES: Record<string, { word: string; tone: Tone }> = {
  waiting: { word: "Waits", tone: "warn" },
  approved: { word: "Approved", tone: "good" },
  rejected: { word: "Rejected", tone: "bad" },
  used: { word: "Done", tone: "plain" },
};

/** Acts that wait, or waited, for a second person. */
export function Approvals() {
  const parts = useParts(
    "approvals",
    {},
    (after, signal) => get("/api/v1/approvals", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
    5_000,
  );
  return (
    <>
      <div className="panel-head">
        <p className="quiet">What cannot be undone is done when somebody else who may do it has approved it, within the hour.</p>
        <Age query={parts.query} />
      </div>
      <Loaded query={parts.query} what="Reading requests">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No act waits for a second person">
              <p>
                Where two people may do an act that cannot be undone (apply a policy, move the root key, change an owner), the
                first one&rsquo;s request waits here for the other. <code>accounts.four_eyes</code> lists those acts.
              </p>
            </Empty>
          ) : (
            <ul className="requests">
              {items.map((approval) => (
                <li key={approval.id} className="panel">
                  <OneApproval of={approval} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Pager parts={parts} />
    </>
  );
}

function OneApproval({ of }: { of: Approval }) {
  const me = useMe();
  const isOver = of.state === "waiting" && Date.parse(of.expires_at) < Date.now();
  const { word, tone } = isOver ? { word: "Over", tone: "plain" as const } : (STATES[of.state] ?? { word: of.state, tone: "plain" });
  const asker = of.asker.replace(/^account:/, "").replace(/^token:/, "token ");
  const isMine = me.kind === "account" && of.asker === `account:${me.name}`;
  return (
    <article aria-label={`${of.act} by ${asker}`}>
      <div className="panel-head">
        <h2>
          <code>{of.act}</code>
        </h2>
        <Tag tone={tone}>{word}</Tag>
      </div>
      <p>
        {asker} asks <Ago at={of.asked_at} /> for <code>{of.path}</code>
        {of.decided_by && of.decided_at && (
          <>
            ; {of.decided_by} decided <Ago at={of.decided_at} />
          </>
        )}
      </p>
      {of.body && (
        <details open={of.state === "waiting"}>
          <summary>What would be done</summary>
          <pre className="body" tabIndex={0} role="region" aria-label="Its body, without what is secret in it">
            {readable(of.body)}
          </pre>
        </details>
      )}
      {of.state === "waiting" && !isOver && (isMine ? <p className="quiet">Somebody else must decide this; it is yours.</p> : <Decisions of={of} />)}
    </article>
  );
}

/** JSON as people read it; what is none as it is. */
function readable(body: string): string {
  try {
    const value: unknown = JSON.parse(body);
    const lines = JSON.stringify(value, null, 2).replace(/\\n/g, "\n").replace(/\\"/g, '"');
    return lines;
  } catch {
    return body;
  }
}

function Decisions({ of }: { of: Approval }) {
  return (
    <div className="head-acts">
      <Act
        name="Approve"
        icon="check"
        isPrimary
        title={`Approve ${of.act}?`}
        reason="none"
        act={(_, key) => send("post", "/api/v1/approvals/{id}/approve", { at: { id: of.id }, key })}
        done={() => ({ text: `${of.act} is approved: who asked can do it now, once.` })}
        stale={STALE}
      >
        <p>Who asked can do exactly this request, once, within the hour. Your name stands beside theirs in the ledger.</p>
      </Act>
      <Act
        name="Reject"
        isDangerous
        title={`Reject ${of.act}?`}
        reason="none"
        act={(_, key) => send("post", "/api/v1/approvals/{id}/reject", { at: { id: of.id }, key })}
        done={() => ({ text: `${of.act} is rejected.` })}
        stale={STALE}
      >
        <p>It is not done. They can ask again.</p>
      </Act>
    </div>
  );
}
