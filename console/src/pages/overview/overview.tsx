// Is my fleet safe now?
import { useQuery } from "@tanstack/react-query";

import { get } from "../../api/client";
import { useLive } from "../../api/live";
import { useMay } from "../../api/session";
import { Age, Loaded } from "../../parts/states";
import { Link } from "../../router";
import { FleetPanel } from "./fleet";
import { LatestPanel } from "./latest";
import { ServerPanel } from "./server";
import { TrafficPanel } from "./traffic";
import { Verdict } from "./verdict";
import { CasesPanel, WaitingPanel } from "./work";
import "./overview.css";

export function useStatus() {
  return useQuery({
    queryKey: ["status"],
    queryFn: ({ signal }) => get("/api/v1/status", { signal }),
    refetchInterval: 5_000,
  });
}

export function useResponse(isWanted: boolean) {
  return useQuery({
    queryKey: ["response"],
    queryFn: ({ signal }) => get("/api/v1/response", { signal }),
    refetchInterval: 10_000,
    enabled: isWanted,
  });
}

export default function Overview() {
  const status = useStatus();
  const may = useMay();
  const { state } = useLive();
  const response = useResponse(may("respond:read"));
  return (
    <>
      <header className="head">
        <div className="head-title">
          <h1>Overview</h1>
          <Age query={status} />
        </div>
        {state === "lost" && <p className="quiet">The page asks again by itself until the stream is back.</p>}
      </header>
      <Loaded query={status} what="Reading the fleet's state">
        {(found) => (
          <>
            <Verdict status={found} response={response.data} />
            {found.devices.total === 0 && <FirstSteps />}
            <div className="panels">
              <div className="stack">
                <FleetPanel devices={found.devices} />
                <TrafficPanel status={found} at={status.dataUpdatedAt} />
              </div>
              <div className="stack">
                {may("respond:read") && <CasesPanel response={response} />}
                {may("respond:read") && <WaitingPanel />}
              </div>
              {may("events:read") && <LatestPanel />}
              <ServerPanel status={found} response={response.data} />
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function FirstSteps() {
  return (
    <section className="panel first-steps" aria-labelledby="first-steps">
      <h2 id="first-steps">There is no device yet. The next steps:</h2>
      <ol>
        <li>
          Say what a device is: <code>palisade product put thermostat --description "Wall thermostat"</code>
        </li>
        <li>
          Say which topics are its own:{" "}
          <code>palisade grant add --product thermostat --allow publish,retain 'devices/{"{device}"}/#'</code>
        </li>
        <li>
          Make a token to enrol with: <code>palisade token create --product thermostat --uses 10 --ttl 1d</code>
        </li>
        <li>
          Enrol one, and see it on the page <Link href="/devices">Devices</Link>.
        </li>
      </ol>
    </section>
  );
}
