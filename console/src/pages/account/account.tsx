// Who am I here, how do I prove it, and where am I signed in?
import { useState } from "react";
import { Button } from "react-aria-components";

import { useMe, useSession } from "../../api/session";
import { Ago } from "../../parts/time";
import { Codes } from "./codes";
import { Linked } from "./linked";
import { ChangePassword } from "./password";
import { Passkeys } from "./passkeys";
import { RecoveryCodes } from "./recovery";
import { OwnSessions } from "./sessions";
import { Totp } from "./totp";
import "./account.css";

export default function Account() {
  const me = useMe();
  const { refresh } = useSession();
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  // Who has recovery codes already is shown none.
  const show = (codes: readonly string[]) => (codes.length > 0 ? setCodes(codes) : void refresh());
  if (me.kind === "token") {
    return (
      <section className="state">
        <h1>Your account</h1>
        <p>You are signed in with an API token, which has no account. Sign out, and sign in with an account to see yours.</p>
      </section>
    );
  }
  if (codes) {
    return (
      <section className="panel narrow">
        <Codes
          codes={codes}
          done={() => {
            setCodes(null);
            void refresh();
          }}
        />
      </section>
    );
  }
  return (
    <>
      <header className="head">
        <h1>Your account</h1>
      </header>
      <div className="panels">
        <section className="panel" aria-labelledby="who">
          <div className="panel-head">
            <h2 id="who">You</h2>
          </div>
          <dl className="facts">
            <dt>Name</dt>
            <dd>{me.name}</dd>
            <dt>Roles</dt>
            <dd>{me.roles.join(", ") || "none"}</dd>
            <dt>May</dt>
            <dd>{me.scopes.includes("*") ? "everything" : me.scopes.join(", ") || "nothing yet"}</dd>
            <dt>Signed in until</dt>
            <dd>{me.expires_at ? <Ago at={me.expires_at} /> : "you sign out"}</dd>
          </dl>
        </section>
        <section className="panel" aria-labelledby="factors">
          <div className="panel-head">
            <h2 id="factors">Authenticator app</h2>
          </div>
          <p className="quiet">An app that shows six digits which change every half minute. Each code counts once.</p>
          <Totp done={show} />
        </section>
        <Passkeys done={show} />
        <RecoveryCodes done={show} />
        <Linked />
        <Passwords />
        <OwnSessions />
      </div>
    </>
  );
}

function Passwords() {
  const [isOpen, setOpen] = useState(false);
  return (
    <section className="panel" aria-labelledby="password">
      <div className="panel-head">
        <h2 id="password">Password</h2>
      </div>
      {isOpen ? (
        <ChangePassword />
      ) : (
        <div className="step">
          <p className="quiet">Changing it signs you out everywhere else.</p>
          <Button className="button" onPress={() => setOpen(true)}>
            Change the password
          </Button>
        </div>
      )}
    </section>
  );
}
