// An event in one line that a person reads.
import type { ReactNode } from "react";

import type { AnyEvent, Lifecycle, Principal, Severity } from "../api/types";
import { caseHref, deviceHref, Link } from "../router";
import { LIFECYCLES, many, SeverityTag, Tag, type Tone } from "./tags";
import { Ago, duration } from "./time";

const KINDS: Record<AnyEvent["kind"], { word: string; tone: Tone }> = {
  admitted: { word: "Connected", tone: "good" },
  refused: { word: "Refused", tone: "warn" },
  disconnected: { word: "Disconnected", tone: "plain" },
  denied: { word: "Denied", tone: "warn" },
  limit_exceeded: { word: "Over limit", tone: "warn" },
  subscribed: { word: "Subscribed", tone: "plain" },
  publish_statistics: { word: "Traffic", tone: "plain" },
  registered: { word: "Registered", tone: "info" },
  enrolled: { word: "Enrolled", tone: "info" },
  renewed: { word: "Renewed", tone: "info" },
  certificate_revoked: { word: "Revoked", tone: "bad" },
  crl_issued: { word: "CRL", tone: "plain" },
  posture_changed: { word: "Posture", tone: "info" },
  agent_report: { word: "Report", tone: "plain" },
  found: { word: "Finding", tone: "bad" },
  responded: { word: "Response", tone: "info" },
  administrative: { word: "Act", tone: "info" },
};

export const EVENT_KINDS = Object.keys(KINDS) as AnyEvent["kind"][];

export function kindWord(kind: AnyEvent["kind"]): string {
  return KINDS[kind].word;
}

const ENDS: Record<string, string> = {
  client: "the client left",
  connection_lost: "the connection broke",
  keep_alive: "nothing was heard of it",
  taken_over: "a newer connection took over",
  replaced: "the same client came back on a newer connection",
  not_authorized: "it is no longer allowed",
  protocol_error: "it broke the protocol",
  limit_exceeded: "it went over a limit",
  shutdown: "the server stopped",
  administrative: "an operator closed it",
};

const text = (value: unknown): string => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const times = (value: unknown): string => (number(value) > 1 ? ` (${number(value)} times)` : "");

function words(code: unknown): string {
  const found = typeof code === "object" && code !== null && "code" in code ? (code as { code: unknown }).code : code;
  return text(found).replaceAll("_", " ");
}

function lifecycle(value: unknown): string {
  return LIFECYCLES[value as Lifecycle]?.word.toLowerCase() ?? text(value);
}

function actorName(value: unknown): string {
  if (value && typeof value === "object" && "type" in value) {
    const actor = value as { type: string; id?: unknown };
    return actor.id === undefined ? `the ${actor.type}` : text(actor.id);
  }
  return text(value);
}

/** What the event says, without whom it is about. */
export function sayEvent(event: AnyEvent): string {
  switch (event.kind) {
    case "admitted":
      return `over ${text(event["protocol"])} as ${text(event["client_id"])}`;
    case "refused":
      return `${text(event["reason"])}${times(event["count"])}`;
    case "disconnected": {
      const lasted = duration(number(event["duration_ms"]));
      return `${ENDS[text(event["end"])] ?? words(event["end"])}, after ${lasted}, ${many(number(event["messages_in"]), "message")} in`;
    }
    case "denied":
      return `to ${[text(event["action"]), text(event["resource"])].filter(Boolean).join(" ")}: ${words(event["reason"])}${times(event["count"])}`;
    case "limit_exceeded":
      return `${words(event["limit"])}${times(event["count"])}`;
    case "subscribed":
      return `to ${text(event["filter"])}`;
    case "publish_statistics":
      return `${many(number(event["messages"]), "message")}, ${many(number(event["bytes"]), "byte")} in ${duration(number(event["window_ms"]))}`;
    case "registered":
      return number(event["count"]) > 1 ? `${many(number(event["count"]), "device")} at once` : "a new device is known";
    case "enrolled":
      return "got its first certificate";
    case "renewed":
      return "got a new certificate";
    case "certificate_revoked":
      return `certificate ${text(event["serial"])}: ${text(event["reason"])}`;
    case "crl_issued":
      return `number ${number(event["number"])} with ${many(number(event["entries"]), "certificate")}`;
    case "posture_changed": {
      const moved = event["lifecycle"] !== event["lifecycle_before"];
      const life = moved ? `${lifecycle(event["lifecycle_before"])} to ${lifecycle(event["lifecycle"])}` : "";
      const trust = event["trust"] !== event["trust_before"] ? `trust ${text(event["trust_before"])} to ${text(event["trust"])}` : "";
      const reason = text(event["reason"]);
      // The reason of a change of trust says the numbers itself.
      if (reason.startsWith("trust ")) return [life, reason].filter(Boolean).join(", ");
      return [life, trust].filter(Boolean).join(", ") + (reason ? `: ${reason}` : "");
    }
    case "agent_report":
      return `agent ${text(event["version"])}`;
    case "found": {
      const title = text(event["title"]);
      const detail = text(event["detail"]);
      return detail.startsWith(title) ? detail : `${title}: ${detail}`;
    }
    case "responded":
      return `${text(event["action"])}, ${words(event["state"])}: ${text(event["reason"])}`;
    case "administrative": {
      const outcome = event["outcome"] === "done" ? "" : ` (${text(event["outcome"])})`;
      const reason = text(event["reason"]);
      return `${text(event["act"])} on ${text(event["target"])} by ${actorName(event["actor"])}${outcome}${reason ? `: ${reason}` : ""}`;
    }
  }
}

export function About({ principal }: { principal: Principal }) {
  if (principal.type === "device") return <Link href={deviceHref(principal.id)}>{principal.id}</Link>;
  return <span>{principal.id}</span>;
}

function Mark({ event }: { event: AnyEvent }): ReactNode {
  if (event.kind === "found") return <SeverityTag of={event["severity"] as Severity} />;
  const { word, tone } = KINDS[event.kind];
  return <Tag tone={tone}>{word}</Tag>;
}

interface Listing {
  events: readonly AnyEvent[];
  /** Where all are about the same. */
  hideAbout?: boolean;
  /** By the name of an event, how many like it are not shown. */
  again?: ReadonlyMap<string, number>;
  label: string;
}

/** A list of events, newest first. */
export function EventList({ events, hideAbout = false, again, label }: Listing) {
  return (
    <ul className="events" aria-label={label}>
      {events.map((event) => (
        <li key={event.id}>
          <Ago at={event.time} />
          <Mark event={event} />
          <span className="event-text">
            {!hideAbout && event.principal && (
              <>
                <About principal={event.principal} />{" "}
              </>
            )}
            {sayEvent(event)}
            {again?.has(event.id) && <span className="quiet">{` · ${again.get(event.id)} more like it`}</span>}
            {event.kind === "responded" && typeof event["case"] === "string" && (
              <>
                {" "}
                <Link href={caseHref(event["case"])}>Open the case</Link>
              </>
            )}
          </span>
          {event.source && <span className="event-source">{event.source}</span>}
        </li>
      ))}
    </ul>
  );
}
