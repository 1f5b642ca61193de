// Who is signed in, and how: by account (a cookie that no script can read) or by an API token (in memory).
import { useQueryClient } from "@tanstack/react-query";
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";

import { ApiError, ask, get, setToken, whenSignedOut, type Schemas } from "./client";
import { showPasskey } from "./passkey";

export interface Me {
  name: string;
  kind: "account" | "token";
  roles: readonly string[];
  scopes: readonly string[];
  expires_at: string | null;
  /** What the server wants of them before anything else. */
  first: "change_password" | "enrol_second_factor" | null;
}

interface Session {
  /** `undefined` while it is not known yet, `null` when nobody is signed in. */
  me: Me | null | undefined;
  /** Why the sign-in page is shown, where there is a reason. */
  notice: string | null;
  withToken(token: string): Promise<void>;
  withAccount(account: string, password: string, code: string): Promise<void>;
  /** Signs in with a passkey alone. Quietly: the browser offers it where the name is typed, and nothing is asked. */
  withPasskey(stop: AbortSignal, isQuiet: boolean): Promise<void>;
  /** Ends a sign-in with a provider by the code of a second factor that it owes. */
  withOwedCode(code: string): Promise<void>;
  /** Makes the first account with the token that the first start printed, and signs in with it. */
  setUp(token: string, account: string, password: string): Promise<void>;
  /** Asks again who is signed in: after an act that changed it. */
  refresh(): Promise<void>;
  /** Forgets who is signed in, where the server already has. */
  leave(why: string): void;
  signOut(why?: string): Promise<void>;
}

const Context = createContext<Session | null>(null);
const SESSION = "/api/v1/session";

export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error("there is no session here");
  return session;
}

/** Who is signed in; only for what is shown to somebody who is. */
export function useMe(): Me {
  const { me } = useSession();
  if (!me) throw new Error("nobody is signed in");
  return me;
}

export type Scope = Schemas["ScopeName"];

/** Whether the caller has a scope. The server decides; this only spares a button that would be refused. */
export function useMay(): (scope: Scope) => boolean {
  const { scopes } = useMe();
  return useCallback((scope) => scopes.includes("*") || scopes.includes(scope), [scopes]);
}

async function readSession(): Promise<Me> {
  const response = await ask("GET", SESSION);
  const found = (await response.json()) as Partial<Me>;
  return {
    name: found.name ?? "",
    kind: found.kind ?? "account",
    roles: found.roles ?? [],
    scopes: found.scopes ?? [],
    expires_at: found.expires_at ?? null,
    first: found.first ?? null,
  };
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const [me, setMe] = useState<Me | null | undefined>(undefined);
  const [notice, setNotice] = useState<string | null>(null);
  const queries = useQueryClient();

  const forget = useCallback(
    (why: string | null) => {
      setToken(null);
      setMe(null);
      setNotice(why);
      queries.clear();
    },
    [queries],
  );

  useEffect(() => {
    whenSignedOut(() => forget("Your session has ended. Sign in again to go on where you were."));
    let isHere = true;
    readSession()
      .then((found) => isHere && setMe(found))
      // Nobody is signed in, or the server cannot say: the sign-in page says what to do.
      .catch((error: unknown) => {
        if (!isHere) return;
        setMe(null);
        if (error instanceof ApiError && error.isAway) setNotice("The server does not answer. Is it running?");
      });
    return () => {
      isHere = false;
    };
  }, [forget]);

  const session = useMemo<Session>(() => {
    const session: Session = {
      me,
      notice,
      async withToken(secret) {
        setToken(secret);
        try {
          const found = await get("/api/v1/whoami");
          setNotice(null);
          setMe({ name: found.name, kind: "token", roles: [], scopes: found.scopes, expires_at: found.expires_at ?? null, first: null });
        } catch (error) {
          setToken(null);
          throw error;
        }
      },
      async withAccount(account, password, code) {
        setToken(null);
        const body = JSON.stringify({ account, password, ...(code ? { code } : {}) });
        await ask("POST", SESSION, { body, headers: { "Content-Type": "application/json" } }, 30_000);
        setMe(await readSession());
        setNotice(null);
      },
      async withPasskey(stop, isQuiet) {
        setToken(null);
        const body = JSON.stringify(await showPasskey(stop, isQuiet));
        await ask("POST", `${SESSION}/passkey`, { body, headers: { "Content-Type": "application/json" } }, 30_000);
        setMe(await readSession());
        setNotice(null);
      },
      async withOwedCode(code) {
        setToken(null);
        const body = JSON.stringify({ code });
        await ask("POST", `${SESSION}/oidc/code`, { body, headers: { "Content-Type": "application/json" } }, 30_000);
        setMe(await readSession());
        setNotice(null);
      },
      async setUp(secret, account, password) {
        setToken(null);
        const headers = { "Content-Type": "application/json" };
        const body = JSON.stringify({ token: secret, name: account, password });
        await ask("POST", "/api/v1/setup/account", { body, headers }, 30_000);
        await session.withAccount(account, password, "");
      },
      async refresh() {
        setMe(await readSession());
        setNotice(null);
      },
      leave: forget,
      async signOut(why = "You are signed out.") {
        if (me?.kind === "account") await ask("DELETE", SESSION).catch(() => undefined);
        forget(why);
      },
    };
    return session;
  }, [me, notice, forget]);
  return <Context value={session}>{children}</Context>;
}
