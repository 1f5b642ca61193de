// What is allowed, and why: the policies in force, how they came about, and what others would change.
import { useQuery } from "@tanstack/react-query";
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { get } from "../../api/client";
import { useMay } from "../../api/session";
import { Age, Loaded } from "../../parts/states";
import { usePlace } from "../../router";
import { Editor } from "./editor";
import { GrantTable } from "./grants";
import { Shadow } from "./shadow";
import { Versions } from "./versions";
import "./policy.css";

const TABS = ["text", "grants", "shadow", "versions"] as const;

export default function Policy() {
  const { query: place, change } = usePlace();
  const may = useMay();
  const tab = TABS.find((tab) => tab === place.get("tab")) ?? "text";
  const policy = useQuery({
    queryKey: ["policy"],
    queryFn: ({ signal }) => get("/api/v1/policy", { signal }),
    refetchInterval: 30_000,
  });
  return (
    <>
      <header className="head">
        <div className="head-title">
          <h1>Policy</h1>
          {policy.data && (
            <span className="quiet">
              version {policy.data.version} by {policy.data.author}
            </span>
          )}
          <Age query={policy} />
        </div>
      </header>
      <Tabs selectedKey={tab} onSelectionChange={(tab) => change({ tab: tab === "text" ? "" : String(tab) })}>
        <TabList aria-label="Of the policy" className="tab-list">
          <Tab id="text">Policies</Tab>
          <Tab id="grants">Grants</Tab>
          <Tab id="shadow">Shadow</Tab>
          <Tab id="versions">Versions</Tab>
        </TabList>
        <TabPanel id="text">
          <Loaded query={policy} what="Reading the policies">
            {(found) => <Editor key={found.version} inForce={found} mayWrite={may("policy:write")} />}
          </Loaded>
        </TabPanel>
        <TabPanel id="grants">
          <GrantTable />
        </TabPanel>
        <TabPanel id="shadow">
          <Shadow />
        </TabPanel>
        <TabPanel id="versions">
          <Versions current={policy.data?.version ?? null} />
        </TabPanel>
      </Tabs>
    </>
  );
}
