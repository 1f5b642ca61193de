import { useQuery } from "@tanstack/react-query";

import { get } from "../../api/client";
import { useMay } from "../../api/session";
import type { Device } from "../../api/types";
import { Empty, Loaded } from "../../parts/states";
import { Table } from "../../parts/table";
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
            <Table
              caption="Sessions of the device"
              items={items}
              id={(session) => session.client_id}
              columns={[
                { name: "Client", cell: (session) => session.client_id },
                { name: "State", cell: ({ online }) => (online ? <Tag tone="good">Connected</Tag> : <Tag>Kept</Tag>) },
                { name: "Since", cell: ({ since }) => (since ? <Ago at={since} /> : "–"), label: true },
                { name: "From", cell: (session) => session.source ?? "–", label: true },
                { name: "Protocol", cell: (session) => session.protocol ?? "–" },
                { name: "In", cell: (session) => count(session.messages_in), label: true, kind: "number" },
                { name: "Out", cell: (session) => count(session.messages_out), label: true, kind: "number" },
                { name: "Queued", cell: (session) => count(session.queued), label: true, kind: "number" },
                { name: "Dropped", cell: (session) => count(session.dropped), label: true, kind: "number" },
              ]}
            />
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
