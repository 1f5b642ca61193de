import { useState } from "react";

import { send, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import type { CaseState, Verdict } from "../../api/types";
import { Act } from "../../parts/act";
import { Choice } from "../../parts/fields";

type Whole = Schemas["CaseWithTimeline"];

const STALE = ["case", "cases", "response"];
const VERDICTS: readonly { value: Verdict; word: string }[] = [
  { value: "true_positive", word: "Real: an attack or a fault" },
  { value: "false_positive", word: "False alarm" },
  { value: "benign_expected", word: "Real, but expected" },
];

export function CaseActs({ of }: { of: Whole }) {
  const me = useMe();
  const [verdict, setVerdict] = useState<Verdict>(of.verdict ?? "true_positive");
  const at = { id: of.id };
  const move = (state: CaseState, reason: string, key?: string) =>
    send("post", "/api/v1/cases/{id}/state", { at, body: { state, reason }, ...(key ? { key } : {}) });
  const assign = (owner: string | null, key?: string) =>
    send("post", "/api/v1/cases/{id}/assign", { at, body: { owner }, ...(key ? { key } : {}) });
  const before = of.state;
  return (
    <div className="head-acts">
      {of.state !== "closed" && of.owner !== me.name && (
        <Act
          name="Take it"
          title="Take this case?"
          reason="none"
          act={(_, key) => assign(me.name, key)}
          done={() => ({ text: "The case is yours.", undo: () => assign(of.owner ?? null).then(() => "It is as it was.") })}
          stale={STALE}
        >
          <p>Others see that you look after it{of.owner ? `, instead of ${of.owner}` : ""}.</p>
        </Act>
      )}
      {of.state !== "closed" ? (
        <Act
          name="Judge and close"
          icon="check"
          isPrimary
          title="What was it?"
          act={async (reason, key) => {
            await send("post", "/api/v1/cases/{id}/verdict", { at, body: { verdict }, key: `${key}-verdict` });
            return move("closed", reason, key);
          }}
          done={() => ({
            text: "The case is closed.",
            undo: () => move(before === "closed" ? "investigating" : before, "undo of the closing").then(() => "It is open again."),
          })}
          stale={STALE}
        >
          <Choice label="Verdict" value={verdict} onChange={(value) => value && setVerdict(value)} options={VERDICTS} />
          <p className="quiet">
            Findings of a case that is a false alarm or expected cost its device no trust from then on, and no playbook answers
            them.
          </p>
        </Act>
      ) : (
        <Act
          name="Open again"
          icon="undo"
          title="Open this case again?"
          act={(reason, key) => move("investigating", reason, key)}
          done={() => ({ text: "The case is open again.", undo: () => move("closed", "undo of the opening").then(() => "It is closed again.") })}
          stale={STALE}
        >
          <p>It stands among the open cases again; what was done stays done.</p>
        </Act>
      )}
    </div>
  );
}
