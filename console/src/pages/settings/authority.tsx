import { useQuery } from "@tanstack/react-query";

import { get } from "../../api/client";
import { Loaded } from "../../parts/states";
import { duration, exactTime } from "../../parts/time";

export function Authority() {
  const ca = useQuery({
    queryKey: ["ca"],
    queryFn: ({ signal }) => get("/api/v1/ca", { signal }),
    refetchInterval: 60_000,
  });
  return (
    <section className="panel" aria-labelledby="authority">
      <div className="panel-head">
        <h2 id="authority">Certification authority</h2>
      </div>
      <Loaded query={ca} what="Reading the authority">
        {(found) => (
          <dl className="facts">
            <dt>Trust domain</dt>
            <dd>{found.trust_domain}</dd>
            <dt>Root</dt>
            <dd>
              <code>{found.root.sha256}</code>
            </dd>
            <dt>Root key</dt>
            <dd>
              {found.root_key_is_here ? (
                <>
                  on this server. Take it offline: <code>palisade ca export-root</code>, then <code>palisade ca detach-root</code>
                </>
              ) : (
                "kept elsewhere"
              )}
            </dd>
            <dt>Issuer</dt>
            <dd>until {exactTime(found.issuer_not_after)}</dd>
            <dt>Devices</dt>
            <dd>certificates of {duration(found.device_validity_s * 1_000)}</dd>
          </dl>
        )}
      </Loaded>
    </section>
  );
}
