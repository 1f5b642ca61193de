// What happens, and what is written down.
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { useMay } from "../../api/session";
import { usePlace } from "../../router";
import { LedgerPart } from "./ledger";
import { LivePart } from "./live";
import { SearchPart } from "./search";
import "./activity.css";

const TABS = ["live", "search", "ledger"] as const;

export default function Activity() {
  const { query: place, go } = usePlace();
  const may = useMay();
  const tab = TABS.find((tab) => tab === place.get("tab")) ?? "live";
  return (
    <>
      <header className="head">
        <h1>Activity</h1>
      </header>
      <Tabs
        selectedKey={tab}
        onSelectionChange={(tab) => go(tab === "live" ? "/activity" : `/activity?tab=${tab}`, { replace: true })}
      >
        <TabList aria-label="Of the activity" className="tab-list">
          <Tab id="live">Live</Tab>
          <Tab id="search">Search</Tab>
          {may("ledger:read") && <Tab id="ledger">Ledger</Tab>}
        </TabList>
        <TabPanel id="live">
          <LivePart />
        </TabPanel>
        <TabPanel id="search">
          <SearchPart />
        </TabPanel>
        <TabPanel id="ledger">
          <LedgerPart />
        </TabPanel>
      </Tabs>
    </>
  );
}
