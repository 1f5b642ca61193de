// One act on many devices: what it will hit is shown first, no more than a cap at once, and each device's outcome
// after.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Dialog, DialogTrigger, Heading, Modal, ModalOverlay } from "react-aria-components";

import { get, newKey, send } from "../../api/client";
import type { Device, Lifecycle } from "../../api/types";
import { Field } from "../../parts/fields";
import { Loaded } from "../../parts/states";
import { many, Tag } from "../../parts/tags";

/** No act hits more devices at once: who means more says it again, and looks again. */
const MOST = 500;
const AT_ONCE = 4;
const PAGE = 200;
const STALE = ["devices", "device", "sessions", "status", "timeline"];

export interface Filter {
  search: string;
  lifecycle: Lifecycle | "";
  product: string;
  segment: string;
  trust_below: string;
  label: string;
}

export function readDevices(filter: Filter, limit: number, after: string | undefined, signal?: AbortSignal) {
  const { trust_below, lifecycle, ...texts } = filter;
  const named = Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== ""));
  return get("/api/v1/devices", {
    query: {
      ...named,
      ...(lifecycle ? { lifecycle } : {}),
      ...(trust_below ? { trust_below: Number(trust_below) } : {}),
      ...(after ? { after } : {}),
      limit,
    },
    ...(signal ? { signal } : {}),
  });
}

const ACTS = {
  quarantine: {
    name: "Quarantine",
    path: "/api/v1/devices/{id}/quarantine",
    from: ["active", "registered"],
    says: "Their sessions are closed at once, and no door serves them until somebody releases them.",
    isDangerous: true,
  },
  release: {
    name: "Release",
    path: "/api/v1/devices/{id}/release",
    from: ["quarantined"],
    says: "They may connect again, and do what policy allows with the trust that they have now.",
    isDangerous: false,
  },
} as const satisfies Record<string, { name: string; path: string; from: readonly Lifecycle[]; says: string; isDangerous: boolean }>;

type ActName = keyof typeof ACTS;

export function BulkBar({
  filter,
  picked,
  clear,
  isFiltered,
}: {
  filter: Filter;
  picked: ReadonlyMap<string, Device>;
  clear: () => void;
  isFiltered: boolean;
}) {
  if (picked.size === 0 && !isFiltered) return null;
  const whom = picked.size > 0 ? `${many(picked.size, "device")} picked` : "All that match the filter";
  return (
    <div className="bulk" role="group" aria-label="Act on many">
      <span className="quiet">{whom}:</span>
      {(Object.keys(ACTS) as ActName[]).map((act) => (
        <BulkAct key={act} act={act} filter={filter} picked={picked} />
      ))}
      {picked.size > 0 && (
        <Button className="button quiet-button" onPress={clear}>
          Pick none
        </Button>
      )}
    </div>
  );
}

function BulkAct({ act, filter, picked }: { act: ActName; filter: Filter; picked: ReadonlyMap<string, Device> }) {
  return (
    <DialogTrigger>
      <Button className="button">{ACTS[act].name} …</Button>
      <ModalOverlay className="veil">
        <Modal>
          <Dialog className="dialog">
            {({ close }) => <Confirm act={act} filter={filter} picked={picked} close={close} />}
          </Dialog>
        </Modal>
      </ModalOverlay>
    </DialogTrigger>
  );
}

/** Those that match, up to the cap, and whether there are more. */
async function matching(filter: Filter, signal: AbortSignal): Promise<{ devices: Device[]; isMore: boolean }> {
  const devices: Device[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await readDevices(filter, PAGE, after, signal);
    devices.push(...page.items);
    if (!page.next || devices.length > MOST) return { devices: devices.slice(0, MOST), isMore: devices.length > MOST || Boolean(page.next) };
    after = page.next;
  }
}

interface Outcome {
  id: string;
  /** Why it was not done; `null` where it was. */
  failed: string | null;
}

function Confirm({
  act,
  filter,
  picked,
  close,
}: {
  act: ActName;
  filter: Filter;
  picked: ReadonlyMap<string, Device>;
  close: () => void;
}) {
  const { name, from, says, isDangerous, path } = ACTS[act];
  const queries = useQueryClient();
  const [reason, setReason] = useState("");
  const [outcomes, setOutcomes] = useState<readonly Outcome[]>([]);
  const [state, setState] = useState<"asking" | "working" | "done">("asking");
  const preview = useQuery({
    queryKey: ["bulk", filter, [...picked.keys()]],
    queryFn: ({ signal }) =>
      picked.size > 0 ? Promise.resolve({ devices: [...picked.values()].slice(0, MOST), isMore: picked.size > MOST }) : matching(filter, signal),
    staleTime: Infinity,
    gcTime: 0,
  });
  const run = async (targets: readonly Device[]) => {
    setState("working");
    const waiting = [...targets];
    const worker = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { id } = next;
        const failed = await send("post", path, { at: { id }, body: { reason: reason.trim() }, key: newKey() }).then(
          () => null,
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        );
        setOutcomes((all) => [...all, { id, failed }]);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    setState("done");
    await Promise.all(STALE.map((key) => queries.invalidateQueries({ queryKey: [key] })));
  };
  return (
    <>
      <Heading slot="title" level={2}>
        {name} many devices
      </Heading>
      <Loaded query={preview} what="Counting devices">
        {({ devices, isMore }) => {
          const targets = devices.filter((device) => (from as readonly Lifecycle[]).includes(device.posture.lifecycle));
          const left = devices.length - targets.length;
          const failed = outcomes.filter((outcome) => outcome.failed !== null);
          return (
            <form
              className="dialog-form"
              onSubmit={(event) => {
                event.preventDefault();
                if (state === "asking" && targets.length > 0 && reason.trim()) void run(targets);
              }}
            >
              {state === "asking" ? (
                <>
                  <p>
                    <strong>{many(targets.length, "device")}</strong> will be {act === "quarantine" ? "quarantined" : "released"}. {says}
                  </p>
                  {left > 0 && <p className="quiet">{many(left, "device")} of these cannot be, as they are now, and are left out.</p>}
                  {isMore && <p className="stale">There are more. At most {MOST} are done at once: act again for the others.</p>}
                  <details>
                    <summary>Which ones</summary>
                    <ul className="outcomes">
                      {targets.map((device) => (
                        <li key={device.id}>{device.id}</li>
                      ))}
                    </ul>
                  </details>
                  <Field label="Reason" hint="It is written into the ledger, for each device." value={reason} onChange={setReason} maxLength={500} isRequired autoFocus />
                </>
              ) : (
                <>
                  <p role="status">
                    {outcomes.length} of {targets.length} done{failed.length > 0 ? `, ${failed.length} of them refused` : ""}.
                  </p>
                  <progress max={targets.length} value={outcomes.length} aria-label="Devices done" />
                  <ul className="rows outcomes" aria-label="Outcomes" tabIndex={0}>
                    {outcomes.map((outcome) => (
                      <li key={outcome.id}>
                        <Tag tone={outcome.failed === null ? "good" : "bad"}>{outcome.failed === null ? "Done" : "Refused"}</Tag>
                        <span>
                          {outcome.id}
                          {outcome.failed && `: ${outcome.failed}`}
                        </span>
                      </li>
                    ))}
                  </ul>
                </>
              )}
              <div className="dialog-acts">
                <Button className="button" onPress={close}>
                  {state === "asking" ? "Cancel" : "Close"}
                </Button>
                {state === "asking" && (
                  <button
                    type="submit"
                    className={`button ${isDangerous ? "danger solid" : "primary"}`}
                    aria-disabled={targets.length === 0 || !reason.trim()}
                  >
                    {name} {many(targets.length, "device")}
                  </button>
                )}
              </div>
            </form>
          );
        }}
      </Loaded>
    </>
  );
}
