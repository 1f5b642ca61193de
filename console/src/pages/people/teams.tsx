import { useState } from "react";

import { get, send, type Schemas } from "../../api/client";
import { Act } from "../../parts/act";
import { Field } from "../../parts/fields";
import { useParts } from "../../parts/pager";
import { Listing } from "../../parts/table";
import { Age, Empty } from "../../parts/states";
import { accountHref, Link } from "../../router";
import { AssignmentEditor, assignmentOf, AssignmentList, draftOf, emptyDraft, type Draft } from "./assignments";

type Team = Schemas["Team"];

const STALE = ["teams", "accounts", "account", "access-review"];

/** Teams: what each of their members is. */
export function Teams() {
  const parts = useParts("teams", {}, (after, signal) =>
    get("/api/v1/teams", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <>
      <div className="panel-head">
        <Edit team={null} />
        <Age query={parts.query} />
      </div>
      <Listing
        parts={parts}
        what="Reading teams"
        empty={
          <Empty title="There is no team yet">
            <p>A team gives each of its members the same roles: those of a site, a shift, a supplier. Who leaves it loses them at once.</p>
          </Empty>
        }
        caption="Teams"
        id={(team) => team.name}
        columns={[
          { name: "Team", cell: (team) => team.name },
          {
            name: "Members",
            cell: ({ members }) => (members.length === 0 ? "nobody" : <Members of={members} />),
            label: true,
            kind: "wide",
          },
          { name: "Each of them is", cell: (team) => <AssignmentList of={team.assignments} /> },
          {
            name: "Acts",
            kind: "act",
            cell: (team) => (
              <div className="head-acts">
                <Edit team={team} />
                <Remove team={team} />
              </div>
            ),
          },
        ]}
      />
    </>
  );
}

function Members({ of }: { of: readonly string[] }) {
  return of.map((name, index) => (
    <span key={name}>
      {index > 0 && ", "}
      <Link href={accountHref(name)}>{name}</Link>
    </span>
  ));
}

function Edit({ team }: { team: Team | null }) {
  const [name, setName] = useState("");
  const [members, setMembers] = useState(team?.members.join(" ") ?? "");
  const [drafts, setDrafts] = useState<Draft[]>(team?.assignments.map(draftOf) ?? [emptyDraft()]);
  const what = () => ({ members: members.split(/[\s,]+/).filter(Boolean), assignments: drafts.map(assignmentOf) });
  return (
    <Act
      name={team ? "Change" : "Make a team"}
      {...(team ? {} : { icon: "people" as const, isPrimary: true })}
      title={team ? `Change team ${team.name}` : "Make a team"}
      reason="none"
      act={(_, key) =>
        team
          ? send("put", "/api/v1/teams/{name}", { at: { name: team.name }, body: what(), key })
          : send("post", "/api/v1/teams", { body: { name: name.trim(), ...what() }, key })
      }
      done={(made) => ({ text: `Team ${made.name} is set; it counts at its members' next requests.` })}
      stale={STALE}
    >
      <div className="dialog-form">
        {!team && <Field label="Name" value={name} onChange={setName} maxLength={64} autoComplete="off" isRequired autoFocus />}
        <Field
          label="Members"
          value={members}
          onChange={setMembers}
          hint="Accounts, with a space or a comma between them."
          autoComplete="off"
          spellCheck="false"
        />
        <AssignmentEditor value={drafts} onChange={setDrafts} />
      </div>
    </Act>
  );
}

function Remove({ team: { name } }: { team: Team }) {
  return (
    <Act
      name="Remove"
      isDangerous
      title={`Remove team ${name}?`}
      reason="none"
      act={(_, key) => send("delete", "/api/v1/teams/{name}", { at: { name }, key })}
      done={() => ({ text: `Team ${name} is removed.` })}
      stale={STALE}
    >
      <p>Its members lose what it gave them at their next request. The accounts stay.</p>
    </Act>
  );
}
