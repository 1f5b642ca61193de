import { useEffect, useState, type FormEvent } from "react";
import { Button, Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { ApiError } from "../../api/client";
import { useSession } from "../../api/session";
import { Field } from "../../parts/fields";
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

/** Runs what a form does, once at a time, and keeps what went wrong. */
function useSubmit(act: () => Promise<void>) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setError(null);
    act()
      .catch(setError)
      .finally(() => setBusy(false));
  };
  return { isBusy, error, submit };
}

function WithAccount() {
  const { withAccount } = useSession();
  const [account, setAccount] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { isBusy, error, submit } = useSubmit(() => withAccount(account.trim(), password, code.trim()));
  const asksCode = error instanceof ApiError && Array.isArray(error.problem["second_factor"]);
  const [needsCode, setNeedsCode] = useState(false);
  if (asksCode && !needsCode) setNeedsCode(true);
  return (
    <form onSubmit={submit}>
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
          <Trouble error={error} />
        )
      ) : null}
      <Button type="submit" className="button primary wide" isPending={isBusy}>
        {isBusy ? "Signing in …" : "Sign in"}
      </Button>
    </form>
  );
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
  const { isBusy, error, submit } = useSubmit(() => setUp(token.trim(), account.trim(), password));
  return (
    <form onSubmit={submit}>
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
      {error ? hasNoAccounts(error) ? <NoAccounts /> : <Trouble error={error} /> : null}
      <Button type="submit" className="button primary wide" isPending={isBusy}>
        {isBusy ? "Making the account …" : "Make the account"}
      </Button>
    </form>
  );
}

function WithToken() {
  const { withToken } = useSession();
  const [token, setToken] = useState("");
  const { isBusy, error, submit } = useSubmit(() => withToken(token.trim()));
  return (
    <form onSubmit={submit}>
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
      {error ? <Trouble error={error} /> : null}
      <Button type="submit" className="button primary wide" isPending={isBusy}>
        {isBusy ? "Signing in …" : "Sign in"}
      </Button>
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
