import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { get, send, type Schemas } from "../../api/client";
import { useMay, useMe } from "../../api/session";
import { Act } from "../../parts/act";
import { Age, Empty, Loaded } from "../../parts/states";
import { Ago } from "../../parts/time";
import { Link } from "../../router";
import { LogInTable } from "../account/sessions";
import { FirstPassword } from "./first-password";
import { AccountTag } from "./list";
import { AssignmentEditor, assignmentOf, AssignmentList, draftOf, type Assignment, type Draft } from "./assignments";

type Account = Schemas["Account"];

const STALE = ["account", "accounts", "account-sessions", "access-review"];

/** One account: what it may do, and what can be done about it. */
export function OneAccount({ name }: { name: string }) {
  const account = useQuery({
    queryKey: ["account", name],
    // The list is what the API has: it goes by name, so that what comes after the name before is the account.
    queryFn: ({ signal }) => find(name, signal),
    refetchInterval: 15_000,
  });
  return (
    <>
      <p className="crumb">
        <Link href="/people">People</Link>
      </p>
      <header className="head">
        <div className="head-title">
          <h1>{name}</h1>
          {account.data && <AccountTag of={account.data} />}
          <Age query={account} />
        </div>
        {account.data && <Acts account={account.data} />}
      </header>
      <Loaded query={account} what="Reading the account">
        {(found) =>
          found === null ? (
            <Empty title={`There is no account ${name}`}>
              <p>
                <Link href="/people">See all accounts</Link>; their names are written in small letters.
              </p>
            </Empty>
          ) : (
            <div className="panels">
              <Facts account={found} />
              <Seen name={name} />
              <LogIns name={name} />
            </div>
          )
        }
      </Loaded>
    </>
  );
}

async function find(name: string, signal: AbortSignal): Promise<Account | null> {
  let after: string | undefined;
  for (;;) {
    const page = await get("/api/v1/accounts", { query: { limit: 200, ...(after ? { after } : {}) }, signal });
    const found = page.items.find((account) => account.name === name);
    if (found || !page.next) return found ?? null;
    after = page.next;
  }
}

function Facts({ account }: { account: Account }) {
  return (
    <section className="panel" aria-labelledby="account">
      <div className="panel-head">
        <h2 id="account">Account</h2>
        {/* What is written begins with what is. */}
        <ChangeRoles key={JSON.stringify(own(account))} account={account} />
      </div>
      <dl className="facts">
        <dt>Roles</dt>
        <dd>
          <AssignmentList of={own(account)} />
        </dd>
        <dt>Teams</dt>
        <dd>{account.teams.join(", ") || "none"}</dd>
        <dt>Last sign-in</dt>
        <dd>{account.last_login_at ? <Ago at={account.last_login_at} /> : "never"}</dd>
        <dt>Password</dt>
        <dd>
          {account.must_change_password ? "somebody else's, to be changed at the next sign-in; set" : "changed"}{" "}
          <Ago at={account.password_changed_at} />
        </dd>
        <dt>Made</dt>
        <dd>
          <Ago at={account.created_at} />
        </dd>
      </dl>
    </section>
  );
}

const change = (name: string, body: Schemas["AccountChange"], key?: string) =>
  send("patch", "/api/v1/accounts/{name}", { at: { name }, body, ...(key ? { key } : {}) });

/** All that it is itself: its plain roles, and those within bounds or for a time. */
function own(account: Account): Assignment[] {
  return [...account.roles.map((role) => ({ role })), ...account.assignments];
}

const setRoles = (name: string, assignments: Assignment[], key?: string) =>
  send("put", "/api/v1/accounts/{name}/roles", { at: { name }, body: { assignments }, ...(key ? { key } : {}) });

function ChangeRoles({ account }: { account: Account }) {
  const before = own(account);
  const [drafts, setDrafts] = useState<Draft[]>(() => before.map(draftOf));
  return (
    <Act
      name="Change the roles"
      title={`Roles of ${account.name}`}
      reason="none"
      act={(_, key) => setRoles(account.name, drafts.map(assignmentOf), key)}
      done={() => ({
        text: `The roles of ${account.name} are changed.`,
        undo: () => setRoles(account.name, before).then(() => "They are as before."),
      })}
      stale={STALE}
    >
      <div className="dialog-form">
        <p>It is signed out everywhere, and may do what these roles give from the next sign-in on.</p>
        <AssignmentEditor value={drafts} onChange={setDrafts} />
      </div>
    </Act>
  );
}

function Acts({ account }: { account: Account }) {
  const { name } = account;
  const me = useMe();
  const isMe = me.kind === "account" && me.name === name;
  return (
    <div className="head-acts">
      <ResetPassword name={name} />
      <Act
        name="Reset second factors"
        isDangerous
        title={`Reset the second factors of ${name}?`}
        reason="none"
        act={(_, key) => send("delete", "/api/v1/accounts/{name}/second-factors", { at: { name }, key })}
        done={() => ({ text: `${name} has no second factor now, and enrols a new one at the next sign-in where the roles want one.` })}
        stale={STALE}
      >
        <p>
          For who lost theirs. Passkeys, authenticator apps and recovery codes of {name} are worth nothing then, and it is
          signed out everywhere. Be sure that it is really {name} who asks: call back on a number that you know.
        </p>
      </Act>
      {account.disabled ? (
        <Act
          name="Enable"
          isPrimary
          title={`Enable ${name}?`}
          reason="none"
          act={(_, key) => change(name, { disabled: false }, key)}
          done={() => ({
            text: `${name} may sign in again.`,
            undo: () => change(name, { disabled: true }).then(() => `${name} is disabled again.`),
          })}
          stale={STALE}
        >
          <p>It may sign in again, with the roles, password and factors that it had.</p>
        </Act>
      ) : (
        <Act
          name="Disable"
          icon="stop"
          isDangerous
          title={`Disable ${name}?`}
          reason="none"
          act={(_, key) => change(name, { disabled: true }, key)}
          done={() => ({
            text: `${name} is disabled.`,
            undo: () => change(name, { disabled: false }).then(() => `${name} may sign in again.`),
          })}
          stale={STALE}
        >
          <p>
            {isMe && <strong>This is you: you will be signed out. </strong>}
            Its sessions end at their next request, and nobody signs in with it until it is enabled again.
          </p>
        </Act>
      )}
    </div>
  );
}

function ResetPassword({ name }: { name: string }) {
  const [password, setPassword] = useState("");
  return (
    <Act
      name="Set a password"
      title={`A new first password for ${name}`}
      reason="none"
      act={(_, key) => send("put", "/api/v1/accounts/{name}/password", { at: { name }, body: { password }, key })}
      done={() => {
        setPassword("");
        return { text: `${name} signs in with it once, and must choose another then.` };
      }}
      stale={STALE}
    >
      <div className="dialog-form">
        <p>For who lost theirs. It is signed out everywhere; its second factors stay.</p>
        <FirstPassword value={password} onChange={setPassword} />
      </div>
    </Act>
  );
}

/** What it did last, as the log of access has it. */
function Seen({ name }: { name: string }) {
  const may = useMay();
  if (!may("access:read")) return null;
  return (
    <section className="panel" aria-labelledby="seen">
      <h2 id="seen">What it does</h2>
      <ul className="plain-list">
        <li>
          <Link href={`/people?tab=access&subject=${encodeURIComponent(name)}`}>All that it did, tried and read</Link>
        </li>
        <li>
          <Link href={`/people?tab=access&subject=${encodeURIComponent(name)}&outcome=denied`}>What it was refused</Link>
        </li>
        <li>
          <Link href="/people?tab=review">Rights that it does not use</Link>
        </li>
      </ul>
    </section>
  );
}

function LogIns({ name }: { name: string }) {
  const sessions = useQuery({
    queryKey: ["account-sessions", name],
    queryFn: ({ signal }) => get("/api/v1/accounts/{name}/sessions", { at: { name }, signal }),
    refetchInterval: 15_000,
  });
  return (
    <section className="panel whole" aria-labelledby="log-ins">
      <div className="panel-head">
        <h2 id="log-ins">Signed in</h2>
        <Age query={sessions} />
      </div>
      <Loaded query={sessions} what="Reading sessions">
        {({ items }) => (
          <LogInTable
            sessions={items}
            caption={`Sessions of ${name}`}
            end={(id, key) => send("delete", "/api/v1/accounts/{name}/sessions/{id}", { at: { name, id }, key })}
            stale={["account-sessions"]}
          />
        )}
      </Loaded>
    </section>
  );
}
