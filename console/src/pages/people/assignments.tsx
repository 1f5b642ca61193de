// What somebody is: roles, each everywhere or on some devices, for good or until a time.
import { useQuery } from "@tanstack/react-query";
import { useId } from "react";
import { Button } from "react-aria-components";

import { get, type Schemas } from "../../api/client";
import { Icon } from "../../parts/icon";
import { Ago } from "../../parts/time";

export type Assignment = Schemas["Assignment"];
type Bound = "everywhere" | "segment" | "product" | "label";

export function useRoles() {
  return useQuery({
    queryKey: ["roles"],
    queryFn: async ({ signal }) => {
      const all: Schemas["RoleDetails"][] = [];
      for (let after: string | undefined; ; ) {
        const page = await get("/api/v1/roles", { query: { limit: 200, ...(after ? { after } : {}) }, signal });
        all.push(...page.items);
        if (!page.next) return all;
        after = page.next;
      }
    },
    staleTime: 10_000,
  });
}

/** On which devices, in words. */
export function boundsInWords(bounds: Assignment["bounds"]): string {
  if (!bounds) return "";
  const words = [
    bounds.segment && `segment ${bounds.segment}`,
    bounds.product && `product ${bounds.product}`,
    bounds.label && `${bounds.label.key}=${bounds.label.value}`,
  ];
  return words.filter(Boolean).join(" and ");
}

export function AssignmentList({ of }: { of: readonly Assignment[] }) {
  if (of.length === 0) return <>none: it may do nothing</>;
  return (
    <ul className="plain-list">
      {of.map((one, index) => (
        <li key={index}>
          <strong>{one.role}</strong>
          {one.bounds && <> on {boundsInWords(one.bounds)}</>}
          {one.until && (
            <>
              {" "}
              until <Ago at={one.until} />
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

/** One assignment as it is being written. */
export interface Draft {
  role: string;
  bound: Bound;
  key: string;
  value: string;
  /** As the browser's own field has it: in local time. */
  until: string;
  /** What this form cannot show and must not lose. */
  kept: Assignment["bounds"];
}

export const emptyDraft = (): Draft => ({ role: "", bound: "everywhere", key: "", value: "", until: "", kept: undefined });

function local(time: string | null | undefined): string {
  if (!time) return "";
  const at = new Date(time);
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

export function draftOf(one: Assignment): Draft {
  const { bounds } = one;
  const draft = { ...emptyDraft(), role: one.role, until: local(one.until) };
  const parts = [bounds?.segment, bounds?.product, bounds?.label].filter(Boolean).length;
  if (!bounds || parts === 0) return draft;
  // Several at once are made by REST or the command line; here they stay as they are.
  if (parts > 1) return { ...draft, kept: bounds };
  if (bounds.segment) return { ...draft, bound: "segment", value: bounds.segment };
  if (bounds.product) return { ...draft, bound: "product", value: bounds.product };
  return { ...draft, bound: "label", key: bounds.label?.key ?? "", value: bounds.label?.value ?? "" };
}

export function assignmentOf(draft: Draft): Assignment {
  const value = draft.value.trim();
  const bounds: Assignment["bounds"] =
    draft.kept ??
    (draft.bound === "segment"
      ? { segment: value }
      : draft.bound === "product"
        ? { product: value }
        : draft.bound === "label"
          ? { label: { key: draft.key.trim(), value } }
          : undefined);
  return {
    role: draft.role,
    ...(bounds ? { bounds } : {}),
    ...(draft.until ? { until: new Date(draft.until).toISOString() } : {}),
  };
}

export function AssignmentEditor({ value, onChange }: { value: readonly Draft[]; onChange: (drafts: Draft[]) => void }) {
  const roles = useRoles();
  const names = roles.data?.map((role) => role.name) ?? [];
  const set = (index: number, change: Partial<Draft>) =>
    onChange(value.map((draft, at) => (at === index ? { ...draft, ...change } : draft)));
  return (
    <div className="assignments">
      {value.map((draft, index) => (
        <One
          key={index}
          number={index + 1}
          draft={draft}
          names={names}
          set={(change) => set(index, change)}
          remove={() => onChange(value.filter((_, at) => at !== index))}
        />
      ))}
      <Button className="button" onPress={() => onChange([...value, emptyDraft()])}>
        Add a role
      </Button>
    </div>
  );
}

function One({
  number,
  draft,
  names,
  set,
  remove,
}: {
  number: number;
  draft: Draft;
  names: readonly string[];
  set: (change: Partial<Draft>) => void;
  remove: () => void;
}) {
  const id = useId();
  const known = names.includes(draft.role) || !draft.role ? names : [draft.role, ...names];
  return (
    <fieldset className="assignment">
      <legend>Role {number}</legend>
      <div className="field">
        <label htmlFor={`${id}-role`}>Role</label>
        <select id={`${id}-role`} value={draft.role} onChange={(event) => set({ role: event.target.value })} required>
          <option value="">Choose one</option>
          {known.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor={`${id}-where`}>Where</label>
        {draft.kept ? (
          <input id={`${id}-where`} value={`on ${boundsInWords(draft.kept)}`} readOnly />
        ) : (
          <select
            id={`${id}-where`}
            value={draft.bound}
            onChange={(event) => set({ bound: event.target.value as Bound, key: "", value: "" })}
          >
            <option value="everywhere">On all devices</option>
            <option value="segment">In a segment</option>
            <option value="product">Of a product</option>
            <option value="label">With a label</option>
          </select>
        )}
      </div>
      {!draft.kept && draft.bound === "label" && (
        <div className="field">
          <label htmlFor={`${id}-key`}>Label</label>
          <input id={`${id}-key`} value={draft.key} onChange={(event) => set({ key: event.target.value })} placeholder="site" required />
        </div>
      )}
      {!draft.kept && draft.bound !== "everywhere" && (
        <div className="field">
          <label htmlFor={`${id}-value`}>{draft.bound === "label" ? "Its value" : draft.bound === "segment" ? "Segment" : "Product"}</label>
          <input id={`${id}-value`} value={draft.value} onChange={(event) => set({ value: event.target.value })} required />
        </div>
      )}
      <div className="field">
        <label htmlFor={`${id}-until`}>Until (empty: for good)</label>
        <input id={`${id}-until`} type="datetime-local" value={draft.until} onChange={(event) => set({ until: event.target.value })} />
      </div>
      <Button className="button quiet-button" onPress={remove}>
        <Icon name="close" />
        Take role {number} away
      </Button>
    </fieldset>
  );
}
