import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { get, send } from "../../api/client";
import { enrolPasskey, hasPasskeys } from "../../api/passkey";
import { useSession } from "../../api/session";
import { Act } from "../../parts/act";
import { Field } from "../../parts/fields";
import { Submit, useSubmit } from "../../parts/form";
import { Empty, Loaded, Trouble } from "../../parts/states";
import { Ago } from "../../parts/time";

/** Something to tell one's passkeys apart by. */
function nameOfHere(): string {
  const agent = navigator.userAgent;
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "CrOS", "Linux"].find((name) => agent.includes(name));
  return system ? `This ${system.replace("Mac OS", "Mac")} device` : "This device";
}

/** Has a passkey made. The codes are those that the server shows once, where it made some. */
export function AddPasskey({
  done,
  isPrimary = false,
}: {
  done: (codes: readonly string[] | null) => void;
  isPrimary?: boolean;
}) {
  const [name, setName] = useState(nameOfHere);
  const form = useSubmit(async () => {
    const made = await enrolPasskey(name.trim());
    done(made.recovery_codes ?? null);
  });
  return (
    <form onSubmit={form.submit} className="step">
      <Field label="What you call it" value={name} onChange={setName} maxLength={64} autoComplete="off" isRequired />
      {form.error ? (
        <Trouble
          error={form.error}
          todo="Try again. A security key needs a PIN; a session of more than an hour must sign in anew first."
        />
      ) : null}
      <Submit form={form} name="Add a passkey" busy="Waiting for your passkey …" isPrimary={isPrimary} />
    </form>
  );
}

/** One's own passkeys. */
export function Passkeys({ done }: { done: (codes: readonly string[]) => void }) {
  const queries = useQueryClient();
  const { refresh } = useSession();
  const passkeys = useQuery({
    queryKey: ["passkeys"],
    queryFn: ({ signal }) => get("/api/v1/account/passkeys", { signal }),
    refetchInterval: 60_000,
  });
  const renew = () => void Promise.all([queries.invalidateQueries({ queryKey: ["passkeys"] }), refresh()]);
  return (
    <section className="panel" aria-labelledby="passkeys">
      <div className="panel-head">
        <h2 id="passkeys">Passkeys</h2>
      </div>
      <Loaded query={passkeys} what="Reading passkeys">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="You have no passkey yet">
              <p>A passkey signs you in without a password and is both factors at once; no page can steal it.</p>
            </Empty>
          ) : (
            <ul className="rows" aria-label="Passkeys">
              {items.map((passkey) => (
                <li key={passkey.id}>
                  <strong>{passkey.name}</strong>
                  <span className="quiet">
                    {passkey.last_used_at ? (
                      <>
                        used <Ago at={passkey.last_used_at} />
                      </>
                    ) : (
                      <>
                        added <Ago at={passkey.created_at} />
                      </>
                    )}
                  </span>
                  <Act
                    name="Remove"
                    isDangerous
                    title={`Remove the passkey ${passkey.name}?`}
                    reason="none"
                    act={(_, key) => send("delete", "/api/v1/account/passkeys/{id}", { at: { id: passkey.id }, key })}
                    done={() => ({ text: `The passkey ${passkey.name} is removed.` })}
                    stale={["passkeys", "own-sessions"]}
                  >
                    <p>It signs nobody in any more, and you are signed out everywhere else. Delete it in the browser as well.</p>
                  </Act>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {hasPasskeys && (
        <AddPasskey
          done={(codes) => {
            renew();
            if (codes) done(codes);
          }}
        />
      )}
    </section>
  );
}
