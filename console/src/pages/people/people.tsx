// Who may use this server, as what, and since when? Who did, tried and read what?
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";

import { useMay } from "../../api/session";
import { usePlace } from "../../router";
import { AccountList } from "./list";
import { AccessLog } from "./log";
import { OneAccount } from "./one";
import { AccessReview } from "./review";
import { Roles } from "./roles";
import { Teams } from "./teams";
import "../requests/requests.css";
import "./people.css";

const TABS = [
  { id: "accounts", name: "Accounts", needs: "admin", View: AccountList },
  { id: "roles", name: "Roles", needs: "admin", View: Roles },
  { id: "teams", name: "Teams", needs: "admin", View: Teams },
  { id: "access", name: "Access log", needs: "access:read", View: AccessLog },
  { id: "review", name: "Access review", needs: "access:read", View: AccessReview },
] as const;

export default function People() {
  const { parts, query: place, go } = usePlace();
  const may = useMay();
  const offered = TABS.filter((tab) => may(tab.needs));
  const tab = offered.find((tab) => tab.id === place.get("tab")) ?? offered[0];
  const name = parts[1];
  if (name && may("admin")) return <OneAccount key={name} name={name} />;
  return (
    <>
      <header className="head">
        <h1>People</h1>
      </header>
      <Tabs
        selectedKey={tab?.id ?? ""}
        onSelectionChange={(id) => {
          if (id !== tab?.id) go(id === offered[0]?.id ? "/people" : `/people?tab=${String(id)}`, { replace: true });
        }}
      >
        <TabList aria-label="Of people" className="tab-list">
          {offered.map(({ id, name }) => (
            <Tab key={id} id={id}>
              {name}
            </Tab>
          ))}
        </TabList>
        {offered.map(({ id, View }) => (
          <TabPanel key={id} id={id}>
            <View />
          </TabPanel>
        ))}
      </Tabs>
    </>
  );
}
