import type { Schemas } from "./client";

export type Device = Schemas["Device"];
export type Lifecycle = Schemas["Lifecycle"];
export type Severity = Schemas["Severity"];
export type Case = Schemas["Case"];
export type CaseState = Schemas["CaseState"];
export type Finding = Schemas["Finding"];
export type Principal = Schemas["Principal"];
export type Verdict = Schemas["Verdict"];

/** An event: besides these it has what its kind has. */
export type AnyEvent = Schemas["Event"] & { readonly [field: string]: unknown };

export interface LiveEvent {
  position: number;
  event: AnyEvent;
}
