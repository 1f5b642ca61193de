import { useEffect, useRef, useState } from "react";
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { ApiError } from "../../api/client";
import { hasPasskeys } from "../../api/passkey";
import { useSession } from "../../api/session";
import { Field } from "../../parts/fields";
import { Submit, useSubmit } from "../../parts/form";
import { Icon } from "../../parts/icon";
import { Refused } from "../../parts/refused";
import { Trouble } from "../../parts/states";
import { usePlace } from "../../router";
import { Owed, Providers } from "./providers";
import "./sign-in.css";

export default function SignIn() {
  const { notice } = useSession();
  const owes = usePlace().query.get("owes");
  useEffect(() => {
    document.title = "Sign in · Palisade";
  }, []);
  return (
    <main className="sign-in" id="main">
      <div className="sign-in-card">
        <p className="mark">
          <Icon name="mark" />
          <span>Palisade</span>
        </p>
        <h1>Sign in</h1>
        {notice && (
          <p className="stale" role="status">
            {notice}
          </p>
        )}
        <Refused />
        {owes ? <Owed kind={owes} /> : <Ways />}
      </div>
    </main>
  );
}

function Ways() {
  return (
    <Tabs className="tabs">
      <TabList aria-label="How to sign in" className="tab-list">
        <Tab id="account">Account</Tab>
        <Tab id="token">API token</Tab>
        <Tab id="setup">First start</Tab>
      </TabList>
      <TabPanel id="account">
        <Providers />
        <WithPasskey />
        <WithAccount />
      </TabPanel>
      <TabPanel id="token">
        <WithToken />
      </TabPanel>
      <TabPanel id="setup">
        <SetUp />
      </TabPanel>
    </Tabs>
  );
}

/** The way without a password. Browsers that can offer passkeys where the name is typed do that as well. */
function WithPasskey() {
  const { withPasskey } = useSession();
  const quiet = useRef<AbortController | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    quiet.current = stop;
    void (async () => {
      if (!hasPasskeys || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
      // Nobody asked for it, so nobody is told what became of it.
      if (!stop.signal.aborted) await withPasskey(stop.signal, true);
    })().catch(() => undefined);
    return () => stop.abort();
  }, []); // eslint-disable-line
  const form = useSubmit(async () => {
    quiet.current?.abort();
    await withPasskey(new AbortController().signal, false);
  });
  if (!hasPasskeys) return null;
  return (
    <form onSubmit={form.submit} className="with-passkey">
      <Submit form={form} name="Use a passkey" busy="Waiting for your passkey …" />
      {form.error ? <Trouble error={form.error} todo={PASSKEY_ADVICE} /> : null}
      <p className="or">or with a password</p>
    </form>
  );
}

function WithAccount() {
  const { withAccount } = useSession();
  const [account, setAccount] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const form = useSubmit(() => withAccount(account.trim(), password, code.trim()));
  const { error } = form;
  const factors = error instanceof ApiError ? error.problem["second_factor"] : undefined;
  const asksCode = Array.isArray(factors);
  const [needsCode, setNeedsCode] = useState<"totp" | "recovery" | null>(null);
  if (asksCode && !needsCode) setNeedsCode(factors.includes("totp") ? "totp" : "recovery");
  return (
    <form onSubmit={form.submit}>
      <Field label="Account" value={account} onChange={setAccount} autoComplete="username webauthn" isRequired autoFocus />
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="current-password"
        isRequired
      />
      {needsCode && (
        <Field
          label={needsCode === "totp" ? "Code of your second factor" : "Recovery code"}
          hint={
            needsCode === "totp"
              ? "The six digits of your authenticator app, or one of your recovery codes."
              : "Your second factor is a passkey: use it above. Without it, one of your recovery codes lets you in."
          }
          value={code}
          onChange={setCode}
          autoComplete="one-time-code"
          inputMode="text"
          isRequired
          autoFocus
        />
      )}
      {error && !(asksCode && !code) ? (
        hasNoAccounts(error) ? (
          <NoAccounts />
        ) : (
          <Trouble error={error} todo={isWrong(error) ? (needsCode ? CODE_ADVICE : ACCOUNT_ADVICE) : undefined} />
        )
      ) : null}
      <Submit form={form} name="Sign in" busy="Signing in …" />
    </form>
  );
}

const ACCOUNT_ADVICE = "Check both, and the keyboard's layout. After some wrong attempts the server makes you wait.";
const PASSKEY_ADVICE =
  "Try again, or sign in with your password. A passkey is added after the sign-in, on the page of your account.";
const CODE_ADVICE = "Each code counts once: wait for the next one, or use a recovery code.";

function isWrong(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

function setUpAdvice(error: unknown): string | undefined {
  if (!isWrong(error)) return undefined;
  return "It works once and within a day. Where there is an account already, sign in with it; else start the server again a day after it was printed: it prints a new one.";
}

/** A server of a version before accounts. */
function hasNoAccounts(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 405);
}

function NoAccounts() {
  return (
    <div className="trouble" role="alert">
      <p className="trouble-title">This server has no accounts.</p>
      <p>Sign in with an API token: that tab says how to get one.</p>
    </div>
  );
}

function SetUp() {
  const { setUp } = useSession();
  const [token, setToken] = useState("");
  const [account, setAccount] = useState("");
  const [password, setPassword] = useState("");
  const form = useSubmit(() => setUp(token.trim(), account.trim(), password));
  return (
    <form onSubmit={form.submit}>
      <Field
        label="Set-up token"
        type="password"
        value={token}
        onChange={setToken}
        autoComplete="off"
        placeholder="pset_…"
        hint="The first start of the server prints it on its terminal; it works once."
        isRequired
      />
      <Field label="Name of the first administrator" value={account} onChange={setAccount} autoComplete="username" maxLength={64} isRequired />
      <Field
        label="New password"
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="new-password"
        hint="15 characters or more; a sentence that only you would say is a good one."
        isRequired
      />
      {form.error ? hasNoAccounts(form.error) ? <NoAccounts /> : <Trouble error={form.error} todo={setUpAdvice(form.error)} /> : null}
      <Submit form={form} name="Make the account" busy="Making the account …" />
    </form>
  );
}

function WithToken() {
  const { withToken } = useSession();
  const [token, setToken] = useState("");
  const form = useSubmit(() => withToken(token.trim()));
  return (
    <form onSubmit={form.submit}>
      <Field
        label="API token"
        type="password"
        value={token}
        onChange={setToken}
        autoComplete="off"
        placeholder="pat_…"
        hint="Kept in this tab's memory alone: it is forgotten when you close or reload the page."
        isRequired
      />
      {form.error ? <Trouble error={form.error} todo={isWrong(form.error) ? "Copy the whole token, from pat_ on. It may have ended or been revoked." : undefined} /> : null}
      <Submit form={form} name="Sign in" busy="Signing in …" />
      <details className="hint">
        <summary>Where do I get a token?</summary>
        <p>
          On the command line: <code>palisade login</code> takes the set-up token that the first start of the server prints, and
          <code>palisade api-token create</code> makes a token with the scopes that you choose.
        </p>
      </details>
    </form>
  );
}
