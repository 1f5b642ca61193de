// Why a sign-in with a provider came to nothing. The server sends the browser here with a word for it.
import { useEffect, useState } from "react";

import { usePlace } from "../router";

const WHY: Record<string, readonly [string, string]> = {
  "no-provider": ["This server knows no such provider.", "Take one of the buttons below, or ask whoever runs this server."],
  "not-begun": [
    "That sign-in was not begun in this browser, or too long ago, or has ended already.",
    "Begin it anew, in this window, and come back within ten minutes.",
  ],
  away: ["The provider does not answer as it should.", "Try again in a minute, or sign in another way. The server's log says more."],
  refused: ["The provider let you not in.", "Try again there, or ask whoever runs it for access to this server."],
  untrusted: [
    "What came back from the provider is not to be believed, and was refused.",
    "Begin anew. If it stays so, tell whoever runs this server: its log says what is wrong.",
  ],
  "too-many": ["Too many sign-ins came from your address.", "Wait a few minutes, then try again."],
  "no-name": [
    "The provider gives you no name that an account here could have.",
    "Ask whoever runs it for a user name of a-z, 0-9 and . _ @ -.",
  ],
  "name-taken": [
    "An account here has the name that the provider gives you, and is not linked with you there.",
    "If it is yours, sign in to it another way, and link it under Your account.",
  ],
  "no-account": [
    "No account here is linked with you at the provider.",
    "Sign in to yours another way, and link it under Your account; or ask an owner of this server for one.",
  ],
  "no-role": [
    "The provider gives you nothing that stands for a role here.",
    "Ask whoever administers it to put you in a group that does. Which ones do, an owner of this server knows.",
  ],
  disabled: ["Your account is disabled.", "Ask an owner of this server."],
  "last-owner": [
    "The provider says that you are no owner any more, and you are the last owner here.",
    "Another owner is needed first: give the role to somebody, or give it back to yourself at the provider.",
  ],
  "linked-elsewhere": [
    "Another account here is linked with you at the provider.",
    "Sign in to that one and end its link first.",
  ],
  changed: ["Your account was changed meanwhile.", "Look at it, and begin anew."],
  failed: ["The server could not end the sign-in.", "Try again. If it stays so, its log says more."],
};

/** Told once: the address does not keep it. */
export function Refused() {
  const { query, change } = usePlace();
  const [code, setCode] = useState(() => query.get("refused"));
  const now = query.get("refused");
  useEffect(() => {
    if (!now) return;
    setCode(now);
    change({ refused: "" });
  }, [now]); // eslint-disable-line
  if (!code) return null;
  const [what, todo] = WHY[code] ?? WHY["failed"]!;
  return (
    <div className="trouble" role="alert">
      <p className="trouble-title">{what}</p>
      <p>{todo}</p>
    </div>
  );
}
