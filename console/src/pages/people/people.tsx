// Who may use this server, as what, and since when?
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { usePlace } from "../../router";
import { AccountList } from "./list";
import { OneAccount } from "./one";
import { RoleTable } from "./roles";
import "./people.css";

const TABS = ["accounts", "roles"] as const;

export default function People() {
  const { parts, query: place, change } = usePlace();
  const tab = TABS.find((tab) => tab === place.get("tab")) ?? "accounts";
  const name = parts[1];
  if (name) return <OneAccount key={name} name={name} />;
  return (
    <>
      <header className="head">
        <h1>People</h1>
      </header>
      <Tabs selectedKey={tab} onSelectionChange={(tab) => change({ tab: tab === "accounts" ? "" : String(tab) })}>
        <TabList aria-label="Of people" className="tab-list">
          <Tab id="accounts">Accounts</Tab>
          <Tab id="roles">Roles</Tab>
        </TabList>
        <TabPanel id="accounts">
          <AccountList />
        </TabPanel>
        <TabPanel id="roles">
          <RoleTable />
        </TabPanel>
      </Tabs>
    </>
  );
}
