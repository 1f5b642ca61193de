// What waits for a second person: acts that cannot be undone, and roles that somebody asks for, for a time.
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { usePlace } from "../../router";
import { Approvals } from "./approvals";
import { Elevations } from "./elevations";
import "./requests.css";

const TABS = ["acts", "roles"] as const;

export default function Requests() {
  const { query: place, change } = usePlace();
  const tab = TABS.find((tab) => tab === place.get("tab")) ?? "acts";
  return (
    <>
      <header className="head">
        <h1>Requests</h1>
      </header>
      <Tabs selectedKey={tab} onSelectionChange={(tab) => change({ tab: tab === "acts" ? "" : String(tab) })}>
        <TabList aria-label="Of requests" className="tab-list">
          <Tab id="acts">Acts</Tab>
          <Tab id="roles">Roles for a time</Tab>
        </TabList>
        <TabPanel id="acts">
          <Approvals />
        </TabPanel>
        <TabPanel id="roles">
          <Elevations />
        </TabPanel>
      </Tabs>
    </>
  );
}
