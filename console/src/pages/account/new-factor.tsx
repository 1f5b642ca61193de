import { useState } from "react";

import { hasPasskeys } from "../../api/passkey";
import { AddPasskey } from "./passkeys";
import { Totp } from "./totp";

/** The first second factor: a passkey where the browser can, or an authenticator app. */
export function NewFactor({ done }: { done: (codes: readonly string[]) => void }) {
  const [chosen, setChosen] = useState<"passkey" | "totp" | null>(null);
  return (
    <>
      {hasPasskeys && chosen !== "totp" && (
        <div className="choice">
          <h2>A passkey</h2>
          <p className="quiet">
            This device's fingerprint, face or PIN, or a security key. The safest: no page can steal it, and there is nothing
            to type.
          </p>
          <AddPasskey done={(codes) => done(codes ?? [])} isPrimary />
        </div>
      )}
      {chosen !== "passkey" && (
        <div className="choice">
          {chosen === null && (
            <>
              <h2>An authenticator app</h2>
              <p className="quiet">Six digits on your phone, typed at each sign-in.</p>
            </>
          )}
          <Totp done={done} begun={() => setChosen("totp")} isPrimary={!hasPasskeys} />
        </div>
      )}
    </>
  );
}
