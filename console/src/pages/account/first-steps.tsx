// What the server wants of somebody before anything else: a password of their own, a second factor.
import { useEffect, useState } from "react";
import { Button } from "react-aria-components";

import { useMe, useSession } from "../../api/session";
import { Icon } from "../../parts/icon";
import { Codes } from "./codes";
import { ChangePassword } from "./password";
import { NewFactor } from "./new-factor";
import "./account.css";

export default function FirstSteps() {
  const me = useMe();
  const { signOut, refresh } = useSession();
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  useEffect(() => {
    document.title = "First steps · Palisade";
  }, []);
  return (
    <main className="sign-in" id="main">
      <div className="sign-in-card">
        <p className="mark">
          <Icon name="mark" />
          <span>Palisade</span>
        </p>
        {codes ? (
          <>
            <h1>Almost done</h1>
            <Codes codes={codes} done={() => void refresh()} />
          </>
        ) : me.first === "change_password" ? (
          <>
            <h1>Choose your own password</h1>
            <p>Somebody else chose the one that you have, {me.name}. Only you know the next one.</p>
            <ChangePassword />
          </>
        ) : (
          <>
            <h1>Add a second factor</h1>
            <p>
              Your role may do so much, {me.name}, that a password alone is not enough. This takes a minute; then the console
              opens.
            </p>
            {/* Who has codes already is shown none. */}
            <NewFactor done={(codes) => (codes.length > 0 ? setCodes(codes) : void refresh())} />
          </>
        )}
        {!codes && (
          <Button className="button quiet-button" onPress={() => void signOut()}>
            Sign out
          </Button>
        )}
      </div>
    </main>
  );
}
