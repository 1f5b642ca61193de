import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { get } from "../../api/client";
import { useMay } from "../../api/session";
import type { Device } from "../../api/types";
import { Age, Loaded, Waiting } from "../../parts/states";
import { LifecycleTag, Trust } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { Link, usePlace } from "../../router";
import { Access } from "./access";
import { DeviceActs } from "./acts";
import { Certificates } from "./certificates";
import { Labels, Seen } from "./list";
import { Messages } from "./messages";
import { Now } from "./now";
import { Timeline } from "./timeline";

// Only who looks at a chart loads what draws it.
const Baseline = lazy(() => import("./baseline"));

const TABS = ["now", "messages", "timeline", "baseline", "certificates", "access"] as const;

export function OneDevice({ id }: { id: string }) {
  const { query: place, change } = usePlace();
  const may = useMay();
  const device = useQuery({
    queryKey: ["device", id],
    queryFn: ({ signal }) => get("/api/v1/devices/{id}", { at: { id }, signal }),
    refetchInterval: 5_000,
  });
  const seesMessages = may("messages:watch") || may("messages:read");
  const tab = TABS.find((tab) => tab === place.get("tab")) ?? "now";
  return (
    <>
      <p className="crumb">
        <Link href="/devices">Devices</Link>
      </p>
      <header className="head">
        <div className="head-title">
          <h1>{id}</h1>
          {device.data && <LifecycleTag of={device.data.posture.lifecycle} />}
          <Age query={device} />
        </div>
        {device.data && may("devices:write") && <DeviceActs device={device.data} />}
      </header>
      <Loaded query={device} what="Reading the device">
        {(found) => (
          <>
            <Facts device={found} />
            <Tabs selectedKey={tab} onSelectionChange={(tab) => change({ tab: tab === "now" ? "" : String(tab) })}>
              <TabList aria-label="Of this device" className="tab-list">
                <Tab id="now">Now</Tab>
                {seesMessages && <Tab id="messages">Messages</Tab>}
                {may("events:read") && <Tab id="timeline">Timeline</Tab>}
                {may("detect:read") && <Tab id="baseline">Baseline</Tab>}
                <Tab id="certificates">Certificates</Tab>
                {may("policy:read") && <Tab id="access">Access</Tab>}
              </TabList>
              <TabPanel id="now">
                <Now device={found} />
              </TabPanel>
              <TabPanel id="messages">
                <Messages id={id} />
              </TabPanel>
              <TabPanel id="timeline">
                <Timeline id={id} />
              </TabPanel>
              <TabPanel id="baseline">
                <Suspense fallback={<Waiting what="Opening the baseline" />}>
                  <Baseline id={id} />
                </Suspense>
              </TabPanel>
              <TabPanel id="certificates">
                <Certificates id={id} />
              </TabPanel>
              <TabPanel id="access">
                <Access device={found} />
              </TabPanel>
            </Tabs>
          </>
        )}
      </Loaded>
    </>
  );
}

function Facts({ device }: { device: Device }) {
  const facts = [
    ["Trust", <Trust key="trust" score={device.posture.trust} />],
    ["Product", <Link key="product" href={`/devices?product=${encodeURIComponent(device.product)}`}>{device.product}</Link>],
    ["Segment", <Link key="segment" href={`/devices?segment=${encodeURIComponent(device.posture.segment)}`}>{device.posture.segment}</Link>],
    ["Last seen", <Seen key="seen" of={device} />],
    ["Known", <Ago key="known" at={device.registered_at} />],
    ["Labels", Object.keys(device.labels).length > 0 ? <Labels key="labels" of={device.labels} /> : null],
  ] as const;
  return (
    <dl className="device-facts">
      {facts.map(([name, value]) =>
        value === null ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}
