import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { get, send, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Act } from "../../parts/act";
import { Choice, Field } from "../../parts/fields";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
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
      <Loaded query={parts.query} what="Reading requests">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nobody asks for a role">
              <p>
                For more than your roles give, for a while: ask for a role with a reason. Somebody else who may do all that it may
                decides, and it ends by itself.
              </p>
            </Empty>
          ) : (
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Roles that were asked for</caption>
                <thead>
                  <tr>
                    <th scope="col">Who</th>
                    <th scope="col">Role</th>
                    <th scope="col">State</th>
                    <th scope="col">Why</th>
                    <th scope="col">Asked</th>
                    <th scope="col">Ends</th>
                    <th scope="col">Decided by</th>
                    <th scope="col">
                      <span className="hidden">Acts</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((one) => {
                    const { word, tone } = stateOf(one);
                    return (
                      <tr key={one.id}>
                        <th scope="row">{one.account}</th>
                        <td>
                          {one.role} <span className="quiet">for {one.minutes} min</span>
                        </td>
                        <td>
                          <Tag tone={tone}>{word}</Tag>
                        </td>
                        <td data-name="Why" className="wide-cell">
                          {one.reason}
                        </td>
                        <td data-name="Asked">
                          <Ago at={one.asked_at} />
                        </td>
                        <td data-name="Ends">{one.ends_at ? <Ago at={one.ends_at} /> : "–"}</td>
                        <td data-name="By">{one.decided_by ?? "–"}</td>
                        <td className="row-act">
                          {one.state === "waiting" && !(me.kind === "account" && me.name === one.account) && <Decisions of={one} />}
                        </td>
                      </tr>
                    );
                  })}
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
