import type { ReactNode } from "react";

import type { Schemas } from "../../api/client";
import { many } from "../../parts/tags";
import { Icon } from "../../parts/icon";
import { Link } from "../../router";

type Status = Schemas["Status"];
type Response = Schemas["Response"];

const SOON_MS = 14 * 86_400_000;

interface Concern {
  id: string;
  isBad: boolean;
  says: ReactNode;
}

/** What stands between the fleet and "all is well", the worst first. */
function concerns(status: Status, response: Response | undefined): Concern[] {
  const found: Concern[] = [];
  const add = (id: string, isBad: boolean, says: ReactNode) => found.push({ id, isBad, says });
  if (response?.kill_switch.stopped) {
    add("stopped", true, "Automatic response is switched off: nothing is contained by itself.");
  }
  if (response && response.waiting > 0) {
    add(
      "waiting",
      true,
      <Link href="/cases?view=waiting">{many(response.waiting, "action")} waiting for your decision</Link>,
    );
  }
  const open = response ? openCases(response) : 0;
  if (open > 0) add("cases", false, <Link href="/cases">{many(open, "open case")}</Link>);
  if (status.devices.quarantined > 0) {
    const says = `${many(status.devices.quarantined, "device")} in quarantine`;
    add("quarantined", false, <Link href="/devices?lifecycle=quarantined">{says}</Link>);
  }
  if (Date.parse(status.issuer_not_after) - Date.parse(status.time) < SOON_MS) {
    add("issuer", true, "The certificate that issues the devices' certificates ends soon: palisade ca renew-issuer.");
  }
  if (response?.playbook_problem) add("playbooks", true, `A playbook cannot be read: ${response.playbook_problem}`);
  return found.sort((one, other) => Number(other.isBad) - Number(one.isBad));
}

export function openCases(response: Response): number {
  const states = response.cases as Readonly<Record<string, number>>;
  return Object.entries(states).reduce((sum, [state, number]) => sum + (state === "closed" ? 0 : number), 0);
}

export function Verdict({ status, response }: { status: Status; response: Response | undefined }) {
  const found = concerns(status, response);
  const tone = found.some((concern) => concern.isBad) ? "bad" : found.length > 0 ? "warn" : "good";
  const title = { good: "Nothing needs you now", warn: "Contained, and worth a look", bad: "Something needs you" }[tone];
  return (
    <section className="verdict" data-tone={tone} aria-labelledby="verdict">
      <Icon name={tone === "good" ? "check" : "cases"} />
      <div>
        <h2 id="verdict">{title}</h2>
        {found.length > 0 ? (
          <ul>
            {found.map((concern) => (
              <li key={concern.id}>{concern.says}</li>
            ))}
          </ul>
        ) : (
          <p>
            {response
              ? "No open case, nothing waiting for a decision, no device in quarantine."
              : "No device is in quarantine. Cases are not shown to you: they need the scope respond:read."}
          </p>
        )}
      </div>
    </section>
  );
}
