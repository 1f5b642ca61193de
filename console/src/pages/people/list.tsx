import { useState } from "react";

import { get, send } from "../../api/client";
import { Act } from "../../parts/act";
import { Field } from "../../parts/fields";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { accountHref, Link, usePlace } from "../../router";
import { FirstPassword } from "./first-password";
import { RoleChoice, type RoleName } from "./roles";

export function AccountList() {
  const parts = useParts("accounts", {}, (after, signal) =>
    get("/api/v1/accounts", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <>
      <div className="panel-head">
        <NewAccount />
        <Age query={parts.query} />
      </div>
      <Loaded query={parts.query} what="Reading accounts">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There is no account yet">
              <p>You are signed in with an API token. Make an account for each person, so that the ledger says who did what.</p>
            </Empty>
          ) : (
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Accounts</caption>
                <thead>
                  <tr>
                    <th scope="col">Account</th>
                    <th scope="col">State</th>
                    <th scope="col">Roles</th>
                    <th scope="col">Last sign-in</th>
                    <th scope="col">Made</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((account) => (
                    <tr key={account.name}>
                      <th scope="row">
                        <Link href={accountHref(account.name)}>{account.name}</Link>
                      </th>
                      <td>
                        <AccountTag of={account} />
                      </td>
                      <td>{[...account.roles, ...account.assignments.map((one) => `${one.role} (bound)`)].join(", ") || "none"}</td>
                      <td data-name="Signed in">{account.last_login_at ? <Ago at={account.last_login_at} /> : "never"}</td>
                      <td data-name="Made">
                        <Ago at={account.created_at} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
      <Pager parts={parts} />
    </>
  );
}

export function AccountTag({ of }: { of: { disabled: boolean; must_change_password: boolean } }) {
  if (of.disabled) return <Tag tone="bad">Disabled</Tag>;
  if (of.must_change_password) return <Tag tone="warn">First password</Tag>;
  return <Tag tone="good">Active</Tag>;
}

function NewAccount() {
  const { go } = usePlace();
  const [name, setName] = useState("");
  const [roles, setRoles] = useState<RoleName[]>([]);
  const [password, setPassword] = useState("");
  return (
    <Act
      name="Make an account"
      icon="people"
      isPrimary
      title="Make an account"
      reason="none"
      act={(_, key) => send("post", "/api/v1/accounts", { body: { name: name.trim(), roles, password }, key })}
      done={(account) => {
        setName("");
        setRoles([]);
        setPassword("");
        go(accountHref(account.name));
        return { text: `${account.name} can sign in now, and must choose another password first.` };
      }}
      stale={["accounts"]}
    >
      <div className="dialog-form">
        <Field
          label="Name"
          value={name}
          onChange={setName}
          hint="Small letters, digits and . _ -; acts are recorded under it."
          maxLength={64}
          autoComplete="off"
          isRequired
          autoFocus
        />
        <RoleChoice value={roles} onChange={setRoles} />
        <FirstPassword value={password} onChange={setPassword} />
      </div>
    </Act>
  );
}
