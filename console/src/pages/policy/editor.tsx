import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { send, type Schemas } from "../../api/client";
import { Act } from "../../parts/act";
import { CedarField, CedarText } from "../../parts/cedar";
import { Trouble } from "../../parts/states";
import { Tests } from "./tests";

/** The text in force, and a copy to change: checked, tested, tried in the shadow, and applied. */
export function Editor({ inForce, mayWrite }: { inForce: Schemas["PolicyInForce"]; mayWrite: boolean }) {
  const [text, setText] = useState(inForce.text);
  const [tests, setTests] = useState(inForce.tests);
  const checking = useMutation({ mutationFn: () => send("post", "/api/v1/policy/check", { body: { text } }) });
  const isChanged = text !== inForce.text || tests !== inForce.tests;
  return (
    <section className="panel policy-editor" aria-label="Policies in force">
      {mayWrite ? (
        <CedarField
          label={isChanged ? "Cedar, changed and not applied" : "Cedar, as it is in force"}
          value={text}
          onChange={(text) => {
            setText(text);
            checking.reset();
          }}
          problems={checking.data?.problems ?? []}
          lines={22}
        />
      ) : (
        <CedarText text={text} name="Cedar, as it is in force" />
      )}
      <div className="head-acts">
        <Button className="button" onPress={() => checking.mutate()} isPending={checking.isPending}>
          Check
        </Button>
        {mayWrite && isChanged && (
          <>
            <Act
              name="Try in the shadow"
              title="Try this text in the shadow?"
              reason="none"
              act={(_, key) => send("put", "/api/v1/policy/shadow", { body: { text }, key })}
              done={() => ({ text: "The text is tried; the tab Shadow shows what it would change." })}
              stale={["shadow"]}
            >
              <p>It decides nothing: each real decision is made by it too, and where it differs is counted.</p>
            </Act>
            <Act
              name="Apply"
              isPrimary
              title="Apply this text?"
              reason="required"
              act={(reason, key) => send("post", "/api/v1/policy/apply", { body: { text, tests, reason }, key })}
              done={({ version }) => ({
                text: `Version ${version} is in force.`,
                undo: () =>
                  send("post", "/api/v1/policy/rollback", { body: { version: inForce.version, reason: "undo" } }).then(
                    () => `The text of version ${inForce.version} is in force again.`,
                  ),
              })}
              stale={["policy", "policy-versions", "shadow", "status"]}
            >
              <p>It decides from that moment on, over sessions that are open too.</p>
            </Act>
            <Button
              className="button quiet-button"
              onPress={() => {
                setText(inForce.text);
                setTests(inForce.tests);
                checking.reset();
              }}
            >
              Put it back
            </Button>
          </>
        )}
      </div>
      {checking.isError && <Trouble error={checking.error} />}
      {checking.data?.valid && (
        <p role="status" className="verified">
          It is valid under the schema.
        </p>
      )}
      <Tests text={text} table={tests} setTable={setTests} mayWrite={mayWrite} />
    </section>
  );
}
