import { useQuery } from "@tanstack/react-query";

import { get, send } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Loaded } from "../../parts/states";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";
import "./settings.css";

const STALE = ["response", "doctor"];
const set = (stopped: boolean, reason: string, key?: string) =>
  send("put", "/api/v1/response/kill-switch", { body: { stopped, reason }, ...(key ? { key } : {}) });

/** The one switch that stops all automatic response. */
export function Switch() {
  const may = useMay();
  const response = useQuery({
    queryKey: ["response"],
    queryFn: ({ signal }) => get("/api/v1/response", { signal }),
    refetchInterval: 10_000,
  });
  return (
    <section className="panel" aria-labelledby="switch">
      <div className="panel-head">
        <h2 id="switch">Automatic response</h2>
      </div>
      <Loaded query={response} what="Reading the switch">
        {({ kill_switch: now }) => (
          <div className="switch">
            <p>
              <Tag tone={now.stopped ? "bad" : "good"}>{now.stopped ? "Off" : "On"}</Tag>{" "}
              {now.stopped
                ? "What playbooks order waits for a person until it is on again."
                : "Playbooks act within the guard rails; every act can be undone or waits for a person."}
            </p>
            {now.stopped && now.at && (
              <p className="quiet">
                Switched off by {now.by ?? "the server"} <Ago at={now.at} />: {now.reason}
              </p>
            )}
            {may("respond:write") &&
              (now.stopped ? (
                <Act
                  name="Switch it on"
                  isPrimary
                  title="Switch automatic response on?"
                  act={(reason, key) => set(false, reason, key)}
                  done={() => ({ text: "Automatic response is on.", undo: () => set(true, "undo").then(() => "It is off again.") })}
                  stale={STALE}
                >
                  <p>Playbooks act by themselves again, within the guard rails.</p>
                </Act>
              ) : (
                <Act
                  name="Switch it off"
                  isDangerous
                  title="Switch automatic response off?"
                  reason="required"
                  act={(reason, key) => set(true, reason, key)}
                  done={() => ({ text: "Automatic response is off.", undo: () => set(false, "undo").then(() => "It is on again.") })}
                  stale={STALE}
                >
                  <p>What playbooks order waits for a person from then on. What is in force ends when its time is over, and people can still act.</p>
                </Act>
              ))}
          </div>
        )}
      </Loaded>
    </section>
  );
}
