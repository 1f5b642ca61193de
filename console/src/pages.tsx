// The table of pages: a page is a folder and a line here.
import { lazy, type ComponentType, type LazyExoticComponent } from "react";

import type { Scope } from "./api/session";
import { Icon, type IconName } from "./parts/icon";

export interface Page {
  /** The first part of its path; empty for the first page. */
  path: string;
  name: string;
  icon: IconName;
  /** Without these scopes the page has nothing to show. */
  needs: readonly Scope[];
  /** Without any of these neither. */
  needsOne?: readonly Scope[];
  /** Only for who signed in with an account. */
  ofAccounts?: boolean;
  View: LazyExoticComponent<ComponentType>;
}

export const pages: readonly Page[] = [
  { path: "", name: "Overview", icon: "overview", needs: ["status:read"], View: lazy(() => import("./pages/overview/overview")) },
  { path: "devices", name: "Devices", icon: "devices", needs: ["devices:read"], View: lazy(() => import("./pages/devices/devices")) },
  { path: "cases", name: "Cases", icon: "cases", needs: ["respond:read"], View: lazy(() => import("./pages/cases/cases")) },
  { path: "activity", name: "Activity", icon: "activity", needs: ["events:read"], View: lazy(() => import("./pages/activity/activity")) },
  { path: "policy", name: "Policy", icon: "policy", needs: ["policy:read"], View: lazy(() => import("./pages/policy/policy")) },
  { path: "people", name: "People", icon: "people", needs: [], needsOne: ["admin", "access:read"], View: lazy(() => import("./pages/people/people")) },
  { path: "requests", name: "Requests", icon: "clock", needs: [], ofAccounts: true, View: lazy(() => import("./pages/requests/requests")) },
  { path: "account", name: "Your account", icon: "account", needs: [], ofAccounts: true, View: lazy(() => import("./pages/account/account")) },
  { path: "settings", name: "Settings", icon: "settings", needs: [], View: lazy(() => import("./pages/settings/settings")) },
];

export function PageIcon({ page }: { page: Page }) {
  return <Icon name={page.icon} />;
}
