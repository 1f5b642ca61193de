import { get } from "../../api/client";
import type { Case, CaseState, Severity } from "../../api/types";
import { Choice } from "../../parts/fields";
import { useParts } from "../../parts/pager";
import { Age, Empty } from "../../parts/states";
import { type Column, Listing } from "../../parts/table";
import { CASE_STATES, CaseTag, SEVERITIES, SeverityTag, Subject } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { caseHref, Link, usePlace } from "../../router";
import { WaitingPanel } from "../overview/work";

const STATES = Object.keys(CASE_STATES) as CaseState[];
const SEVERITY_NAMES = Object.keys(SEVERITIES) as Severity[];

export function CaseList() {
  const { query: place, change } = usePlace();
  const state = place.get("state") ?? "";
  const severity = (place.get("severity") ?? "") as Severity | "";
  const parts = useParts("cases", { state, severity }, (after, signal) =>
    get("/api/v1/cases", {
      query: {
        // Closed cases are history: they are shown to whom asks for them.
        ...(state === "" ? { open: true } : state === "all" ? {} : { state: state as CaseState }),
        ...(severity ? { severity } : {}),
        ...(after ? { after } : {}),
        limit: 50,
      },
      signal,
    }),
  );
  return (
    <>
      <p className="panel-head">
        <Age query={parts.query} />
      </p>
      <div className="waiting-first">
        <WaitingPanel />
      </div>
      <search className="filters">
        <Choice
          label="State"
          value={state}
          onChange={(state) => change({ state })}
          options={[
            { value: "", word: "Not closed" },
            ...STATES.map((state) => ({ value: state as string, word: CASE_STATES[state].word })),
            { value: "all", word: "All" },
          ]}
        />
        <Choice
          label="Severity"
          value={severity}
          onChange={(severity) => change({ severity })}
          options={[
            { value: "", word: "Any" },
            ...SEVERITY_NAMES.map((severity) => ({ value: severity, word: `${SEVERITIES[severity].word} and above` })),
          ]}
        />
      </search>
      <Listing
        parts={parts}
        what="Reading cases"
        empty={
          <Empty title={state || severity ? "No case is like that" : "No case is open"}>
            {state || severity ? (
              <p>
                <Link href="/cases">Show all that are not closed</Link>, or <Link href="/cases?state=all">all</Link>.
              </p>
            ) : (
              <p>
                Findings of rules and baselines open cases by themselves. <code>palisade drill</code> makes one on purpose, to see
                that detection works. <Link href="/cases?state=all">Show closed cases</Link>.
              </p>
            )}
          </Empty>
        }
        caption="Cases"
        id={(each) => each.id}
        columns={COLUMNS}
      />
    </>
  );
}

const COLUMNS: readonly Column<Case>[] = [
  { name: "Case", cell: (each) => <Link href={caseHref(each.id)}>{each.title}</Link> },
  { name: "Severity", cell: (each) => <SeverityTag of={each.severity} /> },
  { name: "State", cell: (each) => <CaseTag of={each.state} /> },
  { name: "About", cell: (each) => <Subject name={each.subject} /> },
  { name: "Owner", cell: (each) => each.owner ?? "–", label: true },
  { name: "Opened", cell: (each) => <Ago at={each.opened_at} />, label: true },
  { name: "Changed", cell: (each) => <Ago at={each.updated_at} />, label: true },
];
