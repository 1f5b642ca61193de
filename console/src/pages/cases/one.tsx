import { useQuery } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { Age, Empty, Loaded } from "../../parts/states";
import { CaseTag, many, SeverityTag, Subject } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { caseHref, Link } from "../../router";
import { Actions } from "./actions";
import { CaseActs } from "./acts";
import { FindingRow } from "./finding";
import { Note } from "./note";

type Whole = Schemas["CaseWithTimeline"];
type Entry = Schemas["CaseEntry"];

const VERDICTS: Record<Schemas["Verdict"], string> = {
  true_positive: "it was real",
  false_positive: "it was a false alarm",
  benign_expected: "it was real and expected",
};

export function OneCase({ id }: { id: string }) {
  const may = useMay();
  const found = useQuery({
    queryKey: ["case", id],
    queryFn: ({ signal }) => get("/api/v1/cases/{id}", { at: { id }, signal }),
    refetchInterval: 10_000,
  });
  return (
    <>
      <p className="crumb">
        <Link href="/cases">Cases</Link>
      </p>
      <header className="head">
        <div className="head-title">
          <h1>{found.data?.title ?? "Case"}</h1>
          {found.data && <SeverityTag of={found.data.severity} />}
          {found.data && <CaseTag of={found.data.state} />}
          <Age query={found} />
        </div>
        {found.data && may("respond:write") && <CaseActs of={found.data} />}
      </header>
      <Loaded query={found} what="Reading the case">
        {(whole) => (
          <>
            <Facts of={whole} />
            <div className="panels">
              <Actions id={id} />
              <Findings of={whole} />
              <CaseTimeline of={whole} />
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function Facts({ of }: { of: Whole }) {
  return (
    <dl className="device-facts">
      <div>
        <dt>About</dt>
        <dd>
          <Subject name={of.subject} />
        </dd>
      </div>
      <div>
        <dt>Opened</dt>
        <dd>
          <Ago at={of.opened_at} />
        </dd>
      </div>
      <div>
        <dt>Owner</dt>
        <dd>{of.owner ?? "nobody yet"}</dd>
      </div>
      <div>
        <dt>Verdict</dt>
        <dd>{of.verdict ? VERDICTS[of.verdict] : "none yet"}</dd>
      </div>
      {of.merged_into && (
        <div>
          <dt>Merged</dt>
          <dd>
            <Link href={caseHref(of.merged_into)}>into another case</Link>
          </dd>
        </div>
      )}
      {of.campaign && (
        <div>
          <dt>Campaign</dt>
          <dd>
            <Link href={caseHref(of.campaign)}>the case of the campaign</Link>
          </dd>
        </div>
      )}
    </dl>
  );
}

/** The findings that the timeline names, newest first, each with its evidence one press away. */
function Findings({ of }: { of: Whole }) {
  const ids = [...new Set(of.timeline.flatMap((entry) => (entry.finding ? [entry.finding] : [])))].reverse().slice(0, 20);
  return (
    <section className="panel whole" aria-labelledby="findings">
      <div className="panel-head">
        <h2 id="findings">Findings</h2>
        <span className="quiet">
          {many(of.findings, "finding")}
          {of.findings > ids.length ? `, the newest ${ids.length} here` : ""}
        </span>
      </div>
      {ids.length === 0 ? (
        <Empty title="No finding is in this case">
          <p>They were merged or split away; the timeline says when.</p>
        </Empty>
      ) : (
        <ul className="findings">
          {ids.map((id) => (
            <FindingRow key={id} id={id} />
          ))}
        </ul>
      )}
    </section>
  );
}

function CaseTimeline({ of }: { of: Whole }) {
  const may = useMay();
  const entries = [...of.timeline].reverse();
  return (
    <section className="panel whole" aria-labelledby="case-timeline">
      <div className="panel-head">
        <h2 id="case-timeline">Timeline</h2>
        <span className="quiet">newest first</span>
      </div>
      {may("respond:write") && of.state !== "closed" && <Note id={of.id} />}
      <ul className="events case-events">
        {entries.map((entry, index) => (
          <TimelineEntry key={`${entry.at} ${index}`} of={entry} />
        ))}
      </ul>
    </section>
  );
}

function TimelineEntry({ of }: { of: Entry }) {
  return (
    <li>
      <Ago at={of.at} />
      <span className="tag">{of.kind.replaceAll("_", " ")}</span>
      <span className="event-text">{of.text}</span>
      <span className="event-source">{of.by ?? ""}</span>
    </li>
  );
}
