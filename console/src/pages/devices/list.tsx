import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { get } from "../../api/client";
import type { Device, Lifecycle } from "../../api/types";
import { useMay } from "../../api/session";
import { Choice, Field } from "../../parts/fields";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { LIFECYCLES, LifecycleTag, Trust } from "../../parts/tags";
import { Ago } from "../../parts/time";
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
    <div className="table-frame">
      <table className="cards">
        <caption className="hidden">Devices</caption>
        <thead>
          <tr>
            {pick && (
              <th scope="col" className="pick">
                <span className="hidden">Pick</span>
                <input
                  type="checkbox"
                  aria-label="Pick all that are shown"
                  checked={devices.every((device) => picked.has(device.id))}
                  onChange={(event) => toggle(devices, event.target.checked)}
                />
              </th>
            )}
            <th scope="col">Device</th>
            <th scope="col">Lifecycle</th>
            <th scope="col">Trust</th>
            <th scope="col">Product</th>
            <th scope="col">Segment</th>
            <th scope="col">Labels</th>
            <th scope="col">Last seen</th>
          </tr>
        </thead>
        <tbody>
          {devices.map((device) => (
            <tr key={device.id}>
              {pick && (
                <td className="pick">
                  <input
                    type="checkbox"
                    aria-label={`Pick ${device.id}`}
                    checked={picked.has(device.id)}
                    onChange={(event) => toggle([device], event.target.checked)}
                  />
                </td>
              )}
              <th scope="row">
                <Link href={deviceHref(device.id)}>{device.id}</Link>
              </th>
              <td>
                <LifecycleTag of={device.posture.lifecycle} />
              </td>
              <td>
                <Trust score={device.posture.trust} />
              </td>
              <td data-name="Product">{device.product}</td>
              <td data-name="Segment">{device.posture.segment}</td>
              <td>
                <Labels of={device.labels} />
              </td>
              <td data-name="Seen">{device.last_seen_at ? <Ago at={device.last_seen_at} /> : <span className="quiet">never</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
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
