import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { get } from "../../api/client";
import type { Device, Lifecycle } from "../../api/types";
import { useMay } from "../../api/session";
import { Choice, Field } from "../../parts/fields";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { type Column, Table } from "../../parts/table";
import { LIFECYCLES, LifecycleTag, Trust } from "../../parts/tags";
import { Ago, exactTime } from "../../parts/time";
import { deviceHref, Link, usePlace } from "../../router";
import { BulkBar, readDevices } from "./bulk";
import { Views } from "./views";

/** Long enough that a word being typed is one question, short enough to feel at once. */
const TYPING_MS = 250;
const SHOWN = 50;
const LIVES = Object.keys(LIFECYCLES) as Lifecycle[];
const TRUSTS = ["100", "90", "80", "50", "20"] as const;

export function DeviceList() {
  const { query: place, change } = usePlace();
  const filter = {
    search: place.get("search") ?? "",
    lifecycle: (place.get("lifecycle") ?? "") as Lifecycle | "",
    product: place.get("product") ?? "",
    segment: place.get("segment") ?? "",
    trust_below: place.get("trust_below") ?? "",
    label: place.get("label") ?? "",
  };
  const parts = useParts("devices", filter, (after, signal) => readDevices(filter, SHOWN, after, signal));
  const may = useMay();
  const [picked, setPicked] = useState<ReadonlyMap<string, Device>>(new Map());
  const isFiltered = Object.values(filter).some(Boolean);
  return (
    <>
      <header className="head">
        <div className="head-title">
          <h1>Devices</h1>
          <Age query={parts.query} />
        </div>
        <Views />
      </header>
      <search className="filters">
        <Typed label="Device id contains" name="search" />
        <Choice
          label="Lifecycle"
          value={filter.lifecycle}
          onChange={(lifecycle) => change({ lifecycle })}
          options={[{ value: "", word: "Any" }, ...LIVES.map((life) => ({ value: life, word: LIFECYCLES[life].word }))]}
        />
        <Choice
          label="Trust"
          value={filter.trust_below as (typeof TRUSTS)[number] | ""}
          onChange={(trust_below) => change({ trust_below })}
          options={[{ value: "", word: "Any" }, ...TRUSTS.map((trust) => ({ value: trust, word: `below ${trust}` }))]}
        />
        <Known label="Product" name="product" />
        <Known label="Segment" name="segment" />
        <Typed label="Label (key=value)" name="label" placeholder="site=berlin" />
      </search>
      <Loaded query={parts.query} what="Reading devices">
        {(page) =>
          page.items.length === 0 ? (
            <NoDevices isFiltered={isFiltered} />
          ) : (
            <>
              {may("devices:write") && (
                <BulkBar filter={filter} picked={picked} clear={() => setPicked(new Map())} isFiltered={isFiltered} />
              )}
              <DeviceTable
                devices={page.items}
                picked={picked}
                pick={may("devices:write") ? setPicked : null}
              />
              <Pager parts={parts} />
            </>
          )
        }
      </Loaded>
    </>
  );
}

type Picked = ReadonlyMap<string, Device>;

function DeviceTable({
  devices,
  picked,
  pick,
}: {
  devices: readonly Device[];
  picked: Picked;
  pick: ((picked: Picked) => void) | null;
}) {
  const toggle = (ones: readonly Device[], isIn: boolean) => {
    const next = new Map(picked);
    for (const one of ones) {
      if (isIn) next.set(one.id, one);
      else next.delete(one.id);
    }
    pick?.(next);
  };
  return (
    <Table
      caption="Devices"
      items={devices}
      id={(device) => device.id}
      columns={[
        pick !== null && {
          name: "Pick",
          kind: "box",
          head: (
            <input
              type="checkbox"
              aria-label="Pick all that are shown"
              checked={devices.every((device) => picked.has(device.id))}
              onChange={(event) => toggle(devices, event.target.checked)}
            />
          ),
          cell: (device) => (
            <input
              type="checkbox"
              aria-label={`Pick ${device.id}`}
              checked={picked.has(device.id)}
              onChange={(event) => toggle([device], event.target.checked)}
            />
          ),
        },
        ...COLUMNS,
      ]}
    />
  );
}

const COLUMNS: readonly Column<Device>[] = [
  { name: "Device", cell: ({ id }) => <Link href={deviceHref(id)}>{id}</Link> },
  { name: "Lifecycle", cell: (device) => <LifecycleTag of={device.posture.lifecycle} /> },
  { name: "Trust", cell: (device) => <Trust score={device.posture.trust} /> },
  { name: "Product", cell: (device) => device.product, label: true },
  { name: "Segment", cell: (device) => device.posture.segment, label: true },
  { name: "Labels", cell: (device) => <Labels of={device.labels} /> },
  {
    name: "Last seen",
    cell: (device) => <Seen of={device} />,
    label: "Seen",
  },
];

/** Whether a device is here, or when it was. */
export function Seen({ of }: { of: Pick<Device, "connected" | "last_seen_at"> }) {
  const { connected, last_seen_at: at } = of;
  if (!at) return <span className="quiet">never</span>;
  return connected ? (
    <span title={`last heard of ${exactTime(at)}`}>connected</span>
  ) : (
    <Ago at={at} />
  );
}

export function Labels({ of }: { of: Device["labels"] }) {
  const labels = Object.entries(of);
  if (labels.length === 0) return null;
  return (
    <ul className="labels">
      {labels.map(([key, value]) => (
        <li key={key}>
          <Link href={`/devices?label=${encodeURIComponent(`${key}=${value}`)}`}>
            {key}={value}
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** A filter that is typed: it counts when the typing rests. */
function Typed({ label, name, placeholder }: { label: string; name: string; placeholder?: string }) {
  const { query: place, change } = usePlace();
  const now = place.get(name) ?? "";
  const [text, setText] = useState(now);
  const [given, setGiven] = useState(now);
  // Somebody followed a link to another filter.
  if (now !== given) {
    setGiven(now);
    setText(now);
  }
  useEffect(() => {
    const wanted = text.trim();
    if (wanted === now) return;
    const timer = setTimeout(() => {
      setGiven(wanted);
      change({ [name]: wanted });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, now, name, change]);
  return <Field label={label} value={text} onChange={setText} maxLength={64} type="search" {...(placeholder ? { placeholder } : {})} />;
}

const LISTS = {
  product: { key: "products", path: "/api/v1/products" },
  segment: { key: "segments", path: "/api/v1/segments" },
} as const;

/** A filter by one of what the server knows: chosen where these are few, typed where they are many. */
function Known({ label, name }: { label: string; name: keyof typeof LISTS }) {
  const { query: place, change } = usePlace();
  const { key, path } = LISTS[name];
  const known = useQuery({
    queryKey: [key],
    queryFn: ({ signal }) => get(path, { query: { limit: 200 }, signal }),
    staleTime: 60_000,
  });
  if (!known.data || known.data.next) return <Typed label={label} name={name} />;
  return (
    <Choice
      label={label}
      value={place.get(name) ?? ""}
      onChange={(value) => change({ [name]: value })}
      options={[{ value: "", word: "Any" }, ...known.data.items.map(({ id }) => ({ value: id, word: id }))]}
    />
  );
}

function NoDevices({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) {
    return (
      <Empty title="No device is like that">
        <p>
          Loosen a filter, or <Link href="/devices">show all devices</Link>.
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="There is no device yet">
      <p>Make a token and enrol the first one with the agent, or register many at once from a file:</p>
      <pre>
        {"palisade token create --product thermostat --uses 10 --ttl 1d\npalisade device import inventory.csv --dry-run"}
      </pre>
    </Empty>
  );
}
