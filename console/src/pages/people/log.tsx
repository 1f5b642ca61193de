import { useState, type FormEvent } from "react";

import { get, type Schemas } from "../../api/client";
import { Choice, Field } from "../../parts/fields";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { type Column, Listing } from "../../parts/table";
import { count, Tag, type Tone } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { usePlace } from "../../router";
import { AccountName } from "./name";

type Entry = Schemas["AccessEntry"];
type Outcome = Schemas["AccessOutcome"];

const OUTCOMES: Record<Outcome, { word: string; tone: Tone }> = {
  allowed: { word: "Allowed", tone: "good" },
  denied: { word: "Denied", tone: "bad" },
  failed: { word: "Failed", tone: "warn" },
};

/** Who did, tried and read what. The address is the filter. */
export function AccessLog() {
  const { query: place } = usePlace();
  const subject = place.get("subject") ?? "";
  const action = place.get("action") ?? "";
  const outcome = (["allowed", "denied", "failed"] as const).find((one) => one === place.get("outcome"));
  const filter = { ...(subject ? { subject } : {}), ...(action ? { action } : {}), ...(outcome ? { outcome } : {}) };
  const parts = useParts("access", filter, (after, signal) =>
    get("/api/v1/access", { query: { ...filter, limit: 50, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <>
      <Filter key={`${subject} ${action} ${outcome}`} subject={subject} action={action} outcome={outcome ?? ""} />
      <div className="panel-head">
        <p className="quiet">What one subject does again and again within an hour is one entry; an act that was done has one of its own.</p>
        <Age query={parts.query} />
      </div>
      <Listing
        parts={parts}
        what="Reading the log of access"
        empty={
          <Empty title={Object.keys(filter).length > 0 ? "Nothing matches" : "Nothing is noted yet"}>
            <p>Requests of accounts and tokens appear here at once, refused ones with their reason. Widen the filter to see more.</p>
          </Empty>
        }
        caption="Entries of the log of access, those that began last first"
        id={(entry) => entry.id}
        columns={COLUMNS}
      />
    </>
  );
}

const COLUMNS: readonly Column<Entry>[] = [
  { name: "Who", cell: (entry) => <Who entry={entry} /> },
  { name: "Action", cell: (entry) => <code>{entry.action}</code> },
  {
    name: "Outcome",
    cell: (entry) => (
      <>
        <Tag tone={OUTCOMES[entry.outcome].tone}>{OUTCOMES[entry.outcome].word}</Tag>
        {entry.reason && <span className="under">{entry.reason}</span>}
      </>
    ),
  },
  { name: "Times", cell: (entry) => count(entry.times), label: true, kind: "number" },
  { name: "Last", cell: (entry) => <Ago at={entry.last_at} />, label: true, kind: "nowrap" },
  { name: "From", cell: (entry) => entry.source ?? "–", label: true },
  {
    name: "On",
    cell: (entry) => (
      <>
        <code>{entry.resource}</code>
        {entry.event && <span className="under">in the ledger</span>}
      </>
    ),
    label: true,
    kind: "wide",
  },
];

function Who({ entry }: { entry: Entry }) {
  if (entry.kind === "nobody") return <>nobody known</>;
  if (entry.kind === "token") {
    return (
      <>
        {entry.name}
        <span className="under">token</span>
      </>
    );
  }
  return <AccountName of={entry.name} />;
}

function Filter({ subject, action, outcome }: { subject: string; action: string; outcome: Outcome | "" }) {
  const { change } = usePlace();
  const [who, setWho] = useState(subject);
  const [what, setWhat] = useState(action);
  const [came, setCame] = useState<Outcome | "">(outcome);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change({ subject: who.trim(), action: what.trim(), outcome: came });
  };
  return (
    <form className="filters" role="search" aria-label="Filter the log" onSubmit={submit}>
      <Field label="Account or token" value={who} onChange={setWho} maxLength={64} autoComplete="off" />
      <Field label="Action" value={what} onChange={setWhat} maxLength={64} placeholder="device.list" autoComplete="off" />
      <Choice
        label="Outcome"
        value={came}
        onChange={setCame}
        options={[
          { value: "", word: "Any" },
          { value: "allowed", word: "Allowed" },
          { value: "denied", word: "Denied" },
          { value: "failed", word: "Failed" },
        ]}
      />
      <button type="submit" className="button">
        Show
      </button>
    </form>
  );
}
