import { useQuery } from "@tanstack/react-query";

import { get } from "../../api/client";
import { useMay } from "../../api/session";
import type { Device } from "../../api/types";
import { Empty, Loaded } from "../../parts/states";
import { count, SeverityTag, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { caseHref, Link } from "../../router";

export function Now({ device }: { device: Device }) {
  const may = useMay();
  return (
    <div className="panels">
      <Posture device={device} />
      {may("respond:read") && <DeviceCases id={device.id} />}
      <Sessions id={device.id} />
    </div>
  );
}

function Posture({ device }: { device: Device }) {
  const { posture } = device;
  return (
    <section className="panel" aria-labelledby="posture">
      <div className="panel-head">
        <h2 id="posture">Why its trust is {posture.trust}</h2>
        <span className="quiet figure">epoch {posture.epoch}</span>
      </div>
      {posture.reasons.length === 0 ? (
        <Empty title="Nothing speaks against it">
          <p>Every device begins with 100. What is found about it takes points, and each reason stands here.</p>
        </Empty>
      ) : (
        <ul className="reasons">
          {[...posture.reasons].sort((one, other) => other.points - one.points).map((reason) => (
            <li key={`${reason.evidence} ${reason.detail}`}>
              <span className="points">−{reason.points}</span>
              <span>
                {reason.detail} <span className="quiet">{reason.evidence.replaceAll("_", " ")}</span>
              </span>
              <Ago at={reason.since} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Sessions({ id }: { id: string }) {
  const sessions = useQuery({
    queryKey: ["sessions", id],
    queryFn: ({ signal }) => get("/api/v1/devices/{id}/sessions", { at: { id }, signal }),
    refetchInterval: 5_000,
  });
  return (
    <section className="panel whole" aria-labelledby="sessions">
      <div className="panel-head">
        <h2 id="sessions">Sessions</h2>
      </div>
      <Loaded query={sessions} what="Reading its sessions">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No session is open">
              <p>A session stands here while the device is connected, and as long as it is kept for its return.</p>
            </Empty>
          ) : (
            <div className="table-frame">
              <table className="cards">
                <caption className="hidden">Sessions of the device</caption>
                <thead>
                  <tr>
                    <th scope="col">Client</th>
                    <th scope="col">State</th>
                    <th scope="col">Since</th>
                    <th scope="col">From</th>
                    <th scope="col">Protocol</th>
                    <th scope="col" className="number">
                      In
                    </th>
                    <th scope="col" className="number">
                      Out
                    </th>
                    <th scope="col" className="number">
                      Queued
                    </th>
                    <th scope="col" className="number">
                      Dropped
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((session) => (
                    <tr key={session.client_id}>
                      <th scope="row">{session.client_id}</th>
                      <td>{session.online ? <Tag tone="good">Connected</Tag> : <Tag>Kept</Tag>}</td>
                      <td data-name="Since">{session.since ? <Ago at={session.since} /> : "–"}</td>
                      <td data-name="From">{session.source ?? "–"}</td>
                      <td>{session.protocol ?? "–"}</td>
                      <td className="number" data-name="In">
                        {count(session.messages_in)}
                      </td>
                      <td className="number" data-name="Out">
                        {count(session.messages_out)}
                      </td>
                      <td className="number" data-name="Queued">
                        {count(session.queued)}
                      </td>
                      <td className="number" data-name="Dropped">
                        {count(session.dropped)}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </section>
  );
}

function DeviceCases({ id }: { id: string }) {
  const cases = useQuery({
    queryKey: ["cases", "device", id],
    queryFn: ({ signal }) => get("/api/v1/cases", { query: { subject: `device/${id}`, limit: 10 }, signal }),
    refetchInterval: 15_000,
  });
  return (
    <section className="panel" aria-labelledby="device-cases">
      <div className="panel-head">
        <h2 id="device-cases">Cases</h2>
      </div>
      <Loaded query={cases} what="Reading its cases">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No case is about this device" />
          ) : (
            <ul className="rows">
              {items.map((each) => (
                <li key={each.id}>
                  <SeverityTag of={each.severity} />
                  <span>
                    <Link href={caseHref(each.id)}>{each.title}</Link> <span className="quiet">{each.state}</span>
                  </span>
                  <Ago at={each.updated_at} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}
