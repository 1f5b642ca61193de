import { useState } from "react";

import { get, send, type Schemas } from "../../api/client";
import { Act } from "../../parts/act";
import { Field } from "../../parts/fields";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { Listing } from "../../parts/table";
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
      <Listing
        parts={parts}
        what="Reading accounts"
        empty={
          <Empty title="There is no account yet">
            <p>You are signed in with an API token. Make an account for each person, so that the ledger says who did what.</p>
          </Empty>
        }
        caption="Accounts"
        id={(account) => account.name}
        columns={[
          { name: "Account", cell: ({ name }) => <Link href={accountHref(name)}>{name}</Link> },
          { name: "State", cell: (account) => <AccountTag of={account} /> },
          { name: "Roles", cell: rolesOf },
          { name: "Last sign-in", cell: (one) => (one.last_login_at ? <Ago at={one.last_login_at} /> : "never"), label: "Signed in" },
          { name: "Made", cell: (account) => <Ago at={account.created_at} />, label: true },
        ]}
      />
    </>
  );
}

function rolesOf({ roles, assignments }: Schemas["Account"]): string {
  return [...roles, ...assignments.map((one) => `${one.role} (bound)`)].join(", ") || "none";
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
