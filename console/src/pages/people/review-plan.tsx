// Whose review it is, and until when the next one is to be signed.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { ApiError, get, send, type Schemas } from "../../api/client";
import { useMay, useMe } from "../../api/session";
import { Act } from "../../parts/act";
import { Choice, Field } from "../../parts/fields";
import { Loaded } from "../../parts/states";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

type Plan = Schemas["ReviewPlan"];

const SPANS = ["30", "90", "180", "365"] as const;
const DAY_MS = 86_400_000;
/** So long before it is due, it is time. */
const SOON_MS = 14 * DAY_MS;

export function ReviewPlan() {
  const may = useMay();
  const plan = useQuery({
    queryKey: ["review-plan"],
    queryFn: ({ signal }) =>
      get("/api/v1/access/review/plan", { signal }).catch((error: unknown) => {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      }),
    refetchInterval: 60_000,
  });
  return (
    <section className="panel" aria-labelledby="review-plan">
      <div className="panel-head">
        <h2 id="review-plan">Next review</h2>
        {may("admin") && <MakePlan now={plan.data ?? null} />}
      </div>
      <Loaded query={plan} what="Reading the plan">
        {(found) =>
          found === null ? (
            <p className="quiet">No review is planned. Planned ones have an owner and a date, and a finding tells when it has passed.</p>
          ) : (
            <p>
              <Due of={found} /> by <strong>{found.owner}</strong>, <Ago at={found.due_at} />; then every {found.every_days} days.
            </p>
          )
        }
      </Loaded>
    </section>
  );
}

function Due({ of }: { of: Plan }) {
  if (of.overdue) return <Tag tone="bad">Overdue</Tag>;
  const isSoon = Date.parse(of.due_at) - Date.now() < SOON_MS;
  return <Tag tone={isSoon ? "warn" : "good"}>Due</Tag>;
}

function MakePlan({ now }: { now: Plan | null }) {
  const me = useMe();
  const [owner, setOwner] = useState(now?.owner ?? (me.kind === "account" ? me.name : ""));
  const [days, setDays] = useState<(typeof SPANS)[number]>("90");
  return (
    <Act
      name={now ? "Change the plan" : "Plan reviews"}
      title="Plan reviews of access"
      reason="none"
      act={(_, key) =>
        send("put", "/api/v1/access/review/plan", { body: { owner: owner.trim(), every_days: Number(days) }, key })
      }
      done={(plan) => ({ text: `${plan.owner} reviews access every ${plan.every_days} days.` })}
      stale={["review-plan"]}
    >
      <div className="dialog-form">
        <Field label="Owner" hint="The account whose review it is: only its signature counts." value={owner} onChange={setOwner} maxLength={64} isRequired autoFocus />
        <Choice
          label="How often"
          value={days}
          onChange={(value) => setDays(value || "90")}
          options={SPANS.map((value) => ({ value, word: `every ${value} days` }))}
        />
      </div>
    </Act>
  );
}
