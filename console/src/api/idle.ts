// A page asks the server by itself, so that a session never looks idle to it: whether a person is there is
// seen here.
import { useEffect } from "react";

import { useSession } from "./session";

/** As long as the server waits for a request, by default. */
const IDLE_MS = 30 * 60_000;
const LOOK_MS = 20_000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;

/** Signs an account out when nobody was there for half an hour. A token is for screens that nobody sits at. */
export function useIdle(): void {
  const { me, signOut } = useSession();
  const isWatched = me?.kind === "account";
  useEffect(() => {
    if (!isWatched) return;
    let seen = Date.now();
    const note = () => void (seen = Date.now());
    for (const sign of SIGNS) addEventListener(sign, note, { passive: true });
    const timer = setInterval(() => {
      if (Date.now() - seen > IDLE_MS) void signOut("You were away for half an hour, so you were signed out.");
    }, LOOK_MS);
    return () => {
      clearInterval(timer);
      for (const sign of SIGNS) removeEventListener(sign, note);
    };
  }, [isWatched, signOut]);
}
