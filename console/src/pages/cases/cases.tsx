// What needs me now? And what looks for it, acts on it, and proves that it works?
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { useMay } from "../../api/session";
import { usePlace } from "../../router";
import { Drills } from "./drills";
import { CaseList } from "./list";
import { OneCase } from "./one";
import { Playbooks } from "./playbooks";
import { Rules } from "./rules";
import "./cases.css";

const TABS = ["cases", "rules", "playbooks", "drills"] as const;

export default function Cases() {
  const { parts, query: place, change } = usePlace();
  const may = useMay();
  const id = parts[1];
  if (id) return <OneCase key={id} id={id} />;
  const tab = TABS.find((tab) => tab === place.get("tab")) ?? "cases";
  const seesDetection = may("detect:read");
  return (
    <>
      <header className="head">
        <h1>Cases</h1>
      </header>
      <Tabs selectedKey={tab} onSelectionChange={(tab) => change({ tab: tab === "cases" ? "" : String(tab) })}>
        <TabList aria-label="Of cases" className="tab-list">
          <Tab id="cases">Open and closed</Tab>
          {seesDetection && <Tab id="rules">Rules</Tab>}
          <Tab id="playbooks">Playbooks</Tab>
          {seesDetection && <Tab id="drills">Drills</Tab>}
        </TabList>
        <TabPanel id="cases">
          <CaseList />
        </TabPanel>
        <TabPanel id="rules">
          <Rules />
        </TabPanel>
        <TabPanel id="playbooks">
          <Playbooks />
        </TabPanel>
        <TabPanel id="drills">
          <Drills />
        </TabPanel>
      </Tabs>
    </>
  );
}
