import { useEffect, useState } from "react";
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { ApiError } from "../../api/client";
import { useSession } from "../../api/session";
import { Field } from "../../parts/fields";
import { Submit, useSubmit } from "../../parts/form";
import { Icon } from "../../parts/icon";
import { Trouble } from "../../parts/states";
import "./sign-in.css";

export default function SignIn() {
  const { notice } = useSession();
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
        <Tabs className="tabs">
          <TabList aria-label="How to sign in" className="tab-list">
            <Tab id="account">Account</Tab>
            <Tab id="token">API token</Tab>
            <Tab id="setup">First start</Tab>
          </TabList>
          <TabPanel id="account">
            <WithAccount />
          </TabPanel>
          <TabPanel id="token">
            <WithToken />
          </TabPanel>
          <TabPanel id="setup">
            <SetUp />
          </TabPanel>
        </Tabs>
      </div>
    </main>
  );
}

function WithAccount() {
  const { withAccount } = useSession();
  const [account, setAccount] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const form = useSubmit(() => withAccount(account.trim(), password, code.trim()));
  const { error } = form;
  const asksCode = error instanceof ApiError && Array.isArray(error.problem["second_factor"]);
  const [needsCode, setNeedsCode] = useState(false);
  if (asksCode && !needsCode) setNeedsCode(true);
  return (
    <form onSubmit={form.submit}>
      <Field label="Account" value={account} onChange={setAccount} autoComplete="username" isRequired autoFocus />
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
          label="Code of your second factor"
          hint="The six digits of your authenticator app, or one of your recovery codes."
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
