// Small words with a meaning: each says it in text, and in colour besides.
import type { CaseState, Lifecycle, Severity } from "../api/types";
import { deviceHref, Link } from "../router";

export type Tone = "good" | "warn" | "bad" | "info" | "plain";

export function Tag({ tone = "plain", children }: { tone?: Tone; children: React.ReactNode }) {
  return (
    <span className="tag" data-tone={tone}>
      {children}
    </span>
  );
}

export const LIFECYCLES: Record<Lifecycle, { word: string; tone: Tone }> = {
  active: { word: "Active", tone: "good" },
  registered: { word: "Registered", tone: "info" },
  quarantined: { word: "Quarantined", tone: "warn" },
  revoked: { word: "Revoked", tone: "bad" },
  retired: { word: "Retired", tone: "plain" },
};

export function LifecycleTag({ of }: { of: Lifecycle }) {
  const { word, tone } = LIFECYCLES[of];
  return <Tag tone={tone}>{word}</Tag>;
}

export const SEVERITIES: Record<Severity, { word: string; tone: Tone }> = {
  informational: { word: "Info", tone: "plain" },
  low: { word: "Low", tone: "info" },
  medium: { word: "Medium", tone: "warn" },
  high: { word: "High", tone: "bad" },
  critical: { word: "Critical", tone: "bad" },
};

export function SeverityTag({ of }: { of: Severity }) {
  const { word, tone } = SEVERITIES[of];
  return (
    <span className="tag" data-tone={tone} data-strong={of === "critical" || undefined}>
      {word}
    </span>
  );
}

/** How far a device is trusted, 0 to 100. */
export function Trust({ score }: { score: number }) {
  const tone = score >= 80 ? "good" : score >= 50 ? "warn" : "bad";
  return (
    <span className="trust" data-tone={tone}>
      <span className="trust-track" aria-hidden="true">
        <span className="trust-fill" style={{ inlineSize: `${score}%` }} />
      </span>
      <span className="figure">{score}</span>
    </span>
  );
}

const NUMBER = new Intl.NumberFormat();

export function count(value: number): string {
  return NUMBER.format(value);
}

/** `1 device`, `2 devices`. */
export function many(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

export const CASE_STATES: Record<CaseState, { word: string; tone: Tone }> = {
  open: { word: "Open", tone: "bad" },
  investigating: { word: "Investigating", tone: "info" },
  contained: { word: "Contained", tone: "warn" },
  closed: { word: "Closed", tone: "plain" },
};

export function CaseTag({ of }: { of: CaseState }) {
  const { word, tone } = CASE_STATES[of];
  return <Tag tone={tone}>{word}</Tag>;
}

/** What something is about: a link where it has a page. */
export function Subject({ name }: { name: string }) {
  const [kind, id] = name.split("/", 2);
  return kind === "device" && id ? <Link href={deviceHref(id)}>{id}</Link> : <>{name}</>;
}
