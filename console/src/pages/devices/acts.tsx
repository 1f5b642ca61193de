import { send } from "../../api/client";
import type { Device } from "../../api/types";
import { Act } from "../../parts/act";
import { many } from "../../parts/tags";

const STALE = ["device", "devices", "sessions", "status", "timeline"];

function quarantine(id: string, reason: string, key?: string) {
  return send("post", "/api/v1/devices/{id}/quarantine", { at: { id }, body: { reason }, ...(key ? { key } : {}) });
}

function release(id: string, reason: string, key?: string) {
  return send("post", "/api/v1/devices/{id}/release", { at: { id }, body: { reason }, ...(key ? { key } : {}) });
}

/** What can be done to a device as it is now; each act has its way back, or is not here. */
export function DeviceActs({ device }: { device: Device }) {
  const { id } = device;
  const { lifecycle } = device.posture;
  return (
    <div className="head-acts">
      {(lifecycle === "active" || lifecycle === "quarantined") && (
        <Act
          name="Disconnect"
          icon="plug"
          title={`Disconnect ${id}?`}
          reason="none"
          act={(_, key) => send("post", "/api/v1/devices/{id}/disconnect", { at: { id }, key })}
          done={({ closed_sessions }) => ({ text: `${id}: ${many(closed_sessions, "session")} closed.` })}
          stale={STALE}
        >
          <p>Its sessions are closed. It may connect again at once: this only makes it begin anew.</p>
        </Act>
      )}
      {(lifecycle === "active" || lifecycle === "registered") && (
        <Act
          name="Quarantine"
          icon="stop"
          isDangerous
          title={`Quarantine ${id}?`}
          act={(reason, key) => quarantine(id, reason, key)}
          done={({ closed_sessions }) => ({
            text: `${id} is in quarantine; ${many(closed_sessions, "session")} closed.`,
            undo: () => release(id, "undo of the quarantine").then(() => `${id} is released again.`),
          })}
          stale={STALE}
        >
          <p>Its sessions are closed at once, and no door serves it until somebody releases it. Its certificates stay valid.</p>
        </Act>
      )}
      {lifecycle === "quarantined" && (
        <Act
          name="Release"
          icon="unlock"
          isPrimary
          title={`Release ${id}?`}
          act={(reason, key) => release(id, reason, key)}
          done={() => ({
            text: `${id} is released.`,
            undo: () => quarantine(id, "undo of the release").then(() => `${id} is in quarantine again.`),
          })}
          stale={STALE}
        >
          <p>It may connect again, and do what policy allows with the trust that it has now.</p>
        </Act>
      )}
    </div>
  );
}
