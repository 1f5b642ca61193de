import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { get, send, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Act } from "../../parts/act";
import { Choice, Field } from "../../parts/fields";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { Listing } from "../../parts/table";
import { Tag, type Tone } from "../../parts/tags";
import { Ago } from "../../parts/time";

type Elevation = Schemas["Elevation"];

const STALE = ["elevations"];

function stateOf({ state, ends_at }: Elevation): { word: string; tone: Tone } {
  if (state === "waiting") return { word: "Waits", tone: "warn" };
  if (state === "rejected") return { word: "Rejected", tone: "bad" };
  return ends_at && Date.parse(ends_at) > Date.now() ? { word: "In force", tone: "good" } : { word: "Over", tone: "plain" };
}

/** Roles for a time: what I asked for, and what I could give. */
export function Elevations() {
  const me = useMe();
  const parts = useParts(
    "elevations",
    {},
    (after, signal) => get("/api/v1/elevations", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
    5_000,
  );
  return (
    <>
      <div className="panel-head">
        <Ask />
        <Age query={parts.query} />
      </div>
      <Listing
        parts={parts}
        what="Reading requests"
        empty={
          <Empty title="Nobody asks for a role">
            <p>
              For more than your roles give, for a while: ask for a role with a reason. Somebody else who may do all that it may
              decides, and it ends by itself.
            </p>
          </Empty>
        }
        caption="Roles that were asked for"
        id={(one) => one.id}
        columns={[
          { name: "Who", cell: (one) => one.account },
          {
            name: "Role",
            cell: (one) => (
              <>
                {one.role} <span className="quiet">for {one.minutes} min</span>
              </>
            ),
          },
          { name: "State", cell: (one) => <Tag tone={stateOf(one).tone}>{stateOf(one).word}</Tag> },
          { name: "Why", cell: (one) => one.reason, label: true, kind: "wide" },
          { name: "Asked", cell: (one) => <Ago at={one.asked_at} />, label: true },
          { name: "Ends", cell: (one) => (one.ends_at ? <Ago at={one.ends_at} /> : "–"), label: true },
          { name: "Decided by", cell: (one) => one.decided_by ?? "–", label: "By" },
          {
            name: "Acts",
            kind: "act",
            cell: (one) => one.state === "waiting" && !(me.kind === "account" && me.name === one.account) && <Decisions of={one} />,
          },
        ]}
      />
    </>
  );
}

function Ask() {
  const [role, setRole] = useState("");
  const [minutes, setMinutes] = useState("60");
  const roles = useQuery({
    queryKey: ["elevation-roles"],
    queryFn: ({ signal }) => get("/api/v1/elevations/roles", { signal }),
    staleTime: 60_000,
  });
  const items = roles.data?.items ?? [];
  const about = items.find((one) => one.name === role)?.description;
  return (
    <Act
      name="Ask for a role"
      icon="key"
      isPrimary
      title="Ask for a role"
      reason="required"
      act={(reason, key) => send("post", "/api/v1/elevations", { body: { role, reason, minutes: Number(minutes) }, key })}
      done={() => ({ text: "It waits for somebody else who has the rights of that role." })}
      stale={STALE}
    >
      <div className="dialog-form">
        <Choice
          label="Role"
          value={role}
          onChange={setRole}
          options={[{ value: "", word: "Choose one" }, ...items.map(({ name }) => ({ value: name, word: name }))]}
        />
        {about && <p className="quiet">{about}</p>}
        <Field label="For how many minutes" value={minutes} onChange={setMinutes} inputMode="numeric" hint="1 to 1440, from the approval on." isRequired />
      </div>
    </Act>
  );
}

function Decisions({ of }: { of: Elevation }) {
  const { id, account, role, minutes } = of;
  return (
    <div className="head-acts">
      <Act
        name="Approve"
        isPrimary
        title={`Make ${account} ${role} for ${minutes} minutes?`}
        reason="none"
        act={(_, key) => send("post", "/api/v1/elevations/{id}/approve", { at: { id }, key })}
        done={() => ({ text: `${account} is ${role} for ${minutes} minutes.` })}
        stale={STALE}
      >
        <p>It counts from the next request on, everywhere, and ends by itself. Why: {of.reason}</p>
      </Act>
      <Act
        name="Reject"
        isDangerous
        title={`Reject the request of ${account}?`}
        reason="none"
        act={(_, key) => send("post", "/api/v1/elevations/{id}/reject", { at: { id }, key })}
        done={() => ({ text: `The request of ${account} is rejected.` })}
        stale={STALE}
      >
        <p>Nothing changes for {account}. They can ask again.</p>
      </Act>
    </div>
  );
}
