import type { Schemas } from "../../api/client";
import type { Lifecycle } from "../../api/types";
import { count, LIFECYCLES } from "../../parts/tags";
import { Link } from "../../router";

const ORDER: readonly Lifecycle[] = ["active", "registered", "quarantined", "revoked", "retired"];

/** How the fleet's posture is spread: a bar for the eye, a table for the rest. */
export function FleetPanel({ devices }: { devices: Schemas["DeviceCounts"] }) {
  return (
    <section className="panel" aria-labelledby="fleet">
      <div className="panel-head">
        <h2 id="fleet">Fleet</h2>
        <Link href="/devices">All devices</Link>
      </div>
      <p className="big figure">
        {count(devices.total)} <span className="quiet">{devices.total === 1 ? "device" : "devices"}</span>
      </p>
      <div className="spread" aria-hidden="true">
        {ORDER.filter((life) => devices[life] > 0).map((life) => (
          <span key={life} data-tone={LIFECYCLES[life].tone} style={{ flexGrow: devices[life] }} />
        ))}
      </div>
      <table className="spread-table">
        <thead className="hidden">
          <tr>
            <th>Lifecycle</th>
            <th>Devices</th>
            <th>Share</th>
          </tr>
        </thead>
        <tbody>
          {ORDER.map((life) => (
            <tr key={life}>
              <th scope="row">
                <span className="swatch" data-tone={LIFECYCLES[life].tone} aria-hidden="true" />
                {devices[life] > 0 ? (
                  <Link href={`/devices?lifecycle=${life}`}>{LIFECYCLES[life].word}</Link>
                ) : (
                  LIFECYCLES[life].word
                )}
              </th>
              <td className="number">{count(devices[life])}</td>
              <td className="number quiet">{share(devices[life], devices.total)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function share(part: number, whole: number): string {
  if (whole === 0 || part === 0) return "–";
  const percent = (100 * part) / whole;
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}
