import type { Schemas } from "../../api/client";
import { count } from "../../parts/tags";
import { Ago, exactTime } from "../../parts/time";

export function ServerPanel({
  status,
  response,
}: {
  status: Schemas["Status"];
  response: Schemas["Response"] | undefined;
}) {
  return (
    <section className="panel whole" aria-labelledby="server">
      <div className="panel-head">
        <h2 id="server">Server</h2>
        <span className="quiet">Palisade {status.version}</span>
      </div>
      <dl className="facts columns">
        <dt>Trust domain</dt>
        <dd>{status.trust_domain}</dd>
        <dt>Running</dt>
        <dd>
          since <Ago at={status.gateway.started_at} />
        </dd>
        <dt>Policy</dt>
        <dd>version {count(status.policy_version)}</dd>
        <dt>Issuing certificate</dt>
        <dd>until {exactTime(status.issuer_not_after)}</dd>
        <dt>Root key</dt>
        <dd>{status.root_key_is_here ? "on this server: take it offline when you are set up" : "kept elsewhere"}</dd>
        <dt>Ledger</dt>
        <dd>
          {count(status.ledger_entries)} entries, root <code title={status.ledger_root}>{status.ledger_root.slice(0, 16)}…</code>
        </dd>
        {response && (
          <>
            <dt>Automatic response</dt>
            <dd>
              {response.kill_switch.stopped
                ? `off${response.kill_switch.by ? `, by ${response.kill_switch.by}` : ""}: ${response.kill_switch.reason}`
                : `on: ${count(response.counts.done)} actions done, ${count(response.counts.undone)} undone`}
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}
