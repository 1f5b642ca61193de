// What the doctor says: each thing that the server sees of itself, the worst first, and what to do about it.
import { useQuery } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";
import { Age, Loaded, sentence } from "../../parts/states";
import { many, Tag, type Tone } from "../../parts/tags";
import { exactTime } from "../../parts/time";

type Check = Schemas["Check"];
type Level = Schemas["CheckLevel"];

const LEVELS: Record<Level, { word: string; tone: Tone; rank: number }> = {
  fail: { word: "Fails", tone: "bad", rank: 0 },
  warn: { word: "Look at it", tone: "warn", rank: 1 },
  ok: { word: "Good", tone: "good", rank: 2 },
};

export function LevelTag({ of }: { of: Level }) {
  return <Tag tone={LEVELS[of].tone}>{LEVELS[of].word}</Tag>;
}

export function Health() {
  const doctor = useQuery({
    queryKey: ["doctor"],
    queryFn: ({ signal }) => get("/api/v1/doctor", { signal }),
    refetchInterval: 30_000,
  });
  return (
    <section className="panel whole" aria-labelledby="health">
      <div className="panel-head">
        <h2 id="health">Health</h2>
        <Age query={doctor} />
      </div>
      <Loaded query={doctor} what="Looking at the server">
        {({ findings }) => (
          <>
            <p>{summary(findings)}</p>
            <p className="quiet">
              What shows on the server's own machine alone, permissions for one: <code>palisade doctor --data DIR</code> there.
            </p>
            <ul className="checks">
              {findings
                .toSorted((one, other) => LEVELS[one.level].rank - LEVELS[other.level].rank)
                .map((check) => (
                  <li key={check.check + check.detail}>
                    <LevelTag of={check.level} />
                    <div>
                      <strong>{sentence(check.check).slice(0, -1)}</strong>
                      <p>{sentence(inLocalTime(check.detail))}</p>
                      {check.mend && <p className="mend">{withCode(sentence(check.mend))}</p>}
                    </div>
                  </li>
                ))}
            </ul>
          </>
        )}
      </Loaded>
    </section>
  );
}

function summary(findings: readonly Check[]): string {
  const of = (level: Level) => findings.filter((check) => check.level === level).length;
  const [failing, warning] = [of("fail"), of("warn")];
  if (failing > 0) return `${many(failing, "check fails", "checks fail")}: mend that first.`;
  if (warning > 0) return `It works; ${many(warning, "thing wants", "things want")} a look.`;
  return `All ${findings.length} checks are good.`;
}

/** Moments as this browser writes them. */
function inLocalTime(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, exactTime);
}

/** What stands between backticks is typed. */
export function withCode(text: string) {
  return text.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));
}
