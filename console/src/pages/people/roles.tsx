import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { ApiError, get, send, type Schemas } from "../../api/client";
import { Act } from "../../parts/act";
import { CedarField, CedarText, type CedarProblem } from "../../parts/cedar";
import { Field } from "../../parts/fields";
import { Empty, Loaded, Waiting } from "../../parts/states";
import { Table } from "../../parts/table";
import { many, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { accountHref, Link, usePlace } from "../../router";
import { boundsInWords, useRoles } from "./assignments";
import { useReview } from "./review-data";

export type RoleName = Schemas["AccountRequest"]["roles"][number];
type Role = Schemas["RoleDetails"];

/** The most of a role's actions that are shown at once. */
const SHOWN = 12;

const roleHref = (name: string): string => `/people?tab=roles&role=${encodeURIComponent(name)}`;

/** A choice of roles; each says what it gives. */
export function RoleChoice({ value, onChange }: { value: readonly RoleName[]; onChange: (roles: RoleName[]) => void }) {
  const roles = useRoles();
  return (
    <fieldset className="role-choice">
      <legend>Roles</legend>
      {roles.isPending && <Waiting what="Reading roles" />}
      {(roles.data ?? []).map(({ name, description }) => (
        <label key={name}>
          <input
            type="checkbox"
            checked={value.includes(name)}
            onChange={(event) => onChange(event.target.checked ? [...value, name] : value.filter((other) => other !== name))}
          />
          <span>
            <strong>{name}</strong>
            <span className="quiet">{description}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** Roles: all of them, one of them, or one that is being written. */
export function Roles() {
  const { query: place } = usePlace();
  const roles = useRoles();
  const name = place.get("role");
  const isWritten = place.get("write") !== null;
  return (
    <Loaded query={roles} what="Reading roles">
      {(all) => {
        const role = all.find((role) => role.name === name);
        if (isWritten) return <Writer key={`${name}-writer`} from={role ?? null} />;
        if (name === null) return <RoleTable roles={all} />;
        if (!role) {
          return (
            <Empty title={`There is no role ${name}`}>
              <p>
                <Link href="/people?tab=roles">See all roles</Link>.
              </p>
            </Empty>
          );
        }
        return <OneRole key={role.name} role={role} />;
      }}
    </Loaded>
  );
}

function kindOf(role: Role): string {
  if (role.shipped) return "ships";
  return role.in_file ? "a file" : `version ${role.version ?? 1}`;
}

function RoleTable({ roles }: { roles: readonly Role[] }) {
  return (
    <>
      <div className="panel-head">
        <p className="quiet">What accounts may do, as Cedar policies over the actions of this server. Roles add up.</p>
        <Link className="button primary" href="/people?tab=roles&write=new">
          Write a role
        </Link>
      </div>
      <Table
        caption="Roles"
        items={roles}
        id={(role) => role.name}
        columns={[
          { name: "Role", cell: ({ name }) => <Link href={roleHref(name)}>{name}</Link> },
          { name: "Kind", cell: (role) => <Tag tone={role.shipped ? "plain" : "info"}>{kindOf(role)}</Tag> },
          { name: "Permits", cell: (role) => many(role.actions.length, "action"), label: true, kind: "number" },
          { name: "For", cell: (role) => role.description || "nobody said", label: true, kind: "wide" },
        ]}
      />
      {roles.every((role) => role.shipped) && (
        <p className="quiet">
          All of these ship. A role of your own is the smallest set of rights for a task: show one that is near it, copy it, and take
          away what is not needed.
        </p>
      )}
    </>
  );
}

function OneRole({ role }: { role: Role }) {
  const { go } = usePlace();
  const isOwn = !role.shipped && !role.in_file;
  return (
    <>
      <p className="crumb">
        <Link href="/people?tab=roles">Roles</Link>
      </p>
      <header className="head">
        <div className="head-title">
          <h2>{role.name}</h2>
          <Tag tone={role.shipped ? "plain" : "info"}>{kindOf(role)}</Tag>
        </div>
        <div className="head-acts">
          <Link className="button" href={`${roleHref(role.name)}&write=${isOwn ? "version" : "copy"}`}>
            {isOwn ? "Write a new version" : "Copy it to a role of your own"}
          </Link>
          {isOwn && (
            <Act
              name="Remove"
              isDangerous
              title={`Remove role ${role.name}?`}
              reason="none"
              act={(_, key) => send("delete", "/api/v1/roles/{name}", { at: { name: role.name }, key })}
              done={() => {
                go("/people?tab=roles");
                return { text: `Role ${role.name} is removed; its versions are kept.` };
              }}
              stale={["roles"]}
            >
              <p>Only a role that nobody has can be removed. Its versions stay on record.</p>
            </Act>
          )}
        </div>
      </header>
      <div className="panels">
        <section className="panel" aria-labelledby="role-about">
          <h2 id="role-about">What it is for</h2>
          <p>{role.description || "Nobody said."}</p>
          {role.changed_at && (
            <p className="quiet">
              Written by {role.changed_by} <Ago at={role.changed_at} />.
            </p>
          )}
          <Names of={role.actions} title={`It may permit ${many(role.actions.length, "action")}`} />
        </section>
        <Holders role={role} />
        <section className="panel whole" aria-labelledby="role-cedar">
          <h2 id="role-cedar">Its policies</h2>
          <CedarText text={role.cedar} name={`The Cedar text of ${role.name}`} />
        </section>
      </div>
    </>
  );
}

/** Names of actions, the first few of many. */
export function Names({ of, title }: { of: readonly string[]; title: string }) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? of : of.slice(0, SHOWN);
  return (
    <>
      <p>{title}</p>
      <ul className="names">
        {shown.map((name) => (
          <li key={name}>
            <code>{name}</code>
          </li>
        ))}
      </ul>
      {of.length > shown.length && (
        <button type="button" className="line-link" onClick={() => setWhole(true)}>
          Show {of.length - shown.length} more
        </button>
      )}
    </>
  );
}

/** Who has a role, and what they do not use of it. */
function Holders({ role }: { role: Role }) {
  const review = useReview(90);
  return (
    <section className="panel" aria-labelledby="role-holders">
      <h2 id="role-holders">Who has it</h2>
      <Loaded query={review} what="Reading who has it">
        {({ items, observed_since }) => {
          const held = items.flatMap((account) =>
            account.roles.filter((one) => one.role === role.name).map((one) => ({ account: account.name, ...one })),
          );
          if (held.length === 0) {
            return (
              <Empty title="Nobody has it">
                <p>Give it to an account on its page, or to a team.</p>
              </Empty>
            );
          }
          const never = role.actions.filter((action) => held.every((one) => one.unused.includes(action)));
          return (
            <>
              <ul className="plain-list">
                {held.map((one, index) => (
                  <li key={index}>
                    <Link href={accountHref(one.account)}>{one.account}</Link>
                    {one.bounds && <> on {boundsInWords(one.bounds)}</>}
                    {one.team && <> by team {one.team}</>}
                    {one.elevation && <> for a time</>}{" "}
                    <span className="quiet">
                      used {one.permits - one.unused.length} of {one.permits}
                    </span>
                  </li>
                ))}
              </ul>
              {never.length > 0 && <Names of={never} title="Nobody who has it used, in the last 90 days:" />}
              <p className="quiet">
                {observed_since ? (
                  <>
                    Uses are known since <Ago at={observed_since} />.
                  </>
                ) : (
                  "No use is known yet."
                )}
              </p>
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

const START = (name: string) => `// What this role permits: name the actions that the task needs, and no more.
@id("reads-devices")
permit (
  principal in Role::"${name}",
  action in [Action::"devices:read"],
  resource
);
`;

/** What the server says is wrong with the text, by line. */
function problemsOf(error: unknown): CedarProblem[] {
  if (!(error instanceof ApiError)) return [];
  const items = (error.problem.errors ?? []).filter((item) => item.field === "cedar");
  return items.map((item) => ({ line: item.line, message: item.detail }));
}

function Writer({ from }: { from: Role | null }) {
  const { go, query: place } = usePlace();
  const isVersion = from !== null && place.get("write") === "version";
  const [name, setName] = useState(isVersion ? from.name : "");
  const [description, setDescription] = useState(isVersion ? from.description : "");
  const [cedar, setCedar] = useState(from?.cedar ?? START("my-role"));
  const [problems, setProblems] = useState<CedarProblem[]>([]);
  // A copy is about the role that it was copied from until it is named anew.
  const [about, setAbout] = useState(from?.name ?? "my-role");
  const call = (name: string) => {
    setName(name);
    const after = name.trim();
    if (!after) return;
    setCedar(cedar.replaceAll(`Role::"${about}"`, `Role::"${after}"`));
    setAbout(after);
  };
  const save = async (key: string) => {
    const body = { description, cedar };
    try {
      return await (isVersion
        ? send("put", "/api/v1/roles/{name}", { at: { name: from.name }, body, key })
        : send("post", "/api/v1/roles", { body: { name: name.trim(), ...body }, key }));
    } catch (error) {
      setProblems(problemsOf(error));
      throw error;
    }
  };
  return (
    <>
      <p className="crumb">
        <Link href="/people?tab=roles">Roles</Link>
      </p>
      <header className="head">
        <h2>{isVersion ? `A new version of ${from.name}` : from ? `A role like ${from.name}` : "A role of your own"}</h2>
      </header>
      <div className="writer">
        <section className="panel dialog-form" aria-label="The role">
          {!isVersion && (
            <Field
              label="Name"
              value={name}
              onChange={call}
              hint="Small letters, digits and -. The text below is about the role of this name."
              maxLength={40}
              autoComplete="off"
              isRequired
            />
          )}
          <Field label="What it is for" value={description} onChange={setDescription} maxLength={500} autoComplete="off" />
          <CedarField
            label="Cedar"
            value={cedar}
            onChange={(cedar) => {
              setCedar(cedar);
              setProblems([]);
            }}
            problems={problems}
            lines={20}
          />
          <div className="head-acts">
            <Act
              name={isVersion ? "Write the new version" : "Make the role"}
              isPrimary
              title={isVersion ? `Write a new version of ${from.name}?` : `Make role ${name.trim() || "without a name"}?`}
              reason="none"
              act={(_, key) => save(key)}
              done={(made) => {
                go(roleHref(made.name));
                return { text: `Role ${made.name} is written: it may permit ${many(made.actions.length, "action")}.` };
              }}
              stale={["roles", "access-review"]}
            >
              <p>
                {isVersion
                  ? "It counts at the next request of whoever has it. The version before is kept."
                  : "Nobody has it yet: give it to accounts or teams then."}{" "}
                It may permit nothing that you may not do yourself.
              </p>
            </Act>
            <Link className="button quiet-button" href={from ? roleHref(from.name) : "/people?tab=roles"}>
              Leave it
            </Link>
          </div>
        </section>
        <Actions />
      </div>
    </>
  );
}

/** What a role may be about. */
function Actions() {
  const [search, setSearch] = useState("");
  const actions = useQuery({
    queryKey: ["role-actions"],
    queryFn: ({ signal }) => get("/api/v1/roles/actions", { signal }),
    staleTime: 300_000,
  });
  return (
    <section className="panel" aria-labelledby="role-actions">
      <h2 id="role-actions">What there is to permit</h2>
      <p className="quiet">
        A scope is the group of its actions: <code>{'action in [Action::"devices:read"]'}</code>; one action is{" "}
        <code>{'action == Action::"device.quarantine"'}</code>.
      </p>
      <Field label="Search" type="search" value={search} onChange={setSearch} />
      <Loaded query={actions} what="Reading actions">
        {({ items }) => {
          const wanted = search.trim().toLowerCase();
          const found = items.filter((one) => `${one.name} ${one.scope} ${one.description}`.toLowerCase().includes(wanted));
          return found.length === 0 ? (
            <Empty title="No action has that in its name" />
          ) : (
            <div className="actions" tabIndex={0} role="region" aria-label="Actions">
              <ul className="plain-list">
                {found.map((one) => (
                  <li key={one.name}>
                    <code>{one.name}</code> <span className="quiet">{one.scope}</span>
                    <br />
                    {one.description}
                    {one.on_device && <span className="quiet"> On one device: the text may look at it.</span>}
                  </li>
                ))}
              </ul>
            </div>
          );
        }}
      </Loaded>
    </section>
  );
}
