// Who one is at providers of OpenID Connect.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { get, send } from "../../api/client";
import { useSession } from "../../api/session";
import { Act } from "../../parts/act";
import { Submit, useSubmit } from "../../parts/form";
import { Loaded, Trouble } from "../../parts/states";
import { Ago } from "../../parts/time";

function LinkWith({ name, label }: { name: string; label: string }) {
  const [isGoing, setGoing] = useState(false);
  const form = useSubmit(async () => {
    const { url } = await send("post", "/api/v1/account/oidc/{name}/begin", { at: { name } });
    setGoing(true);
    location.assign(url);
  });
  return (
    <form onSubmit={form.submit} className="step">
      {form.error ? (
        <Trouble error={form.error} todo="Try again. A session of more than an hour must sign in anew first." />
      ) : null}
      <Submit form={{ ...form, isBusy: form.isBusy || isGoing }} name={`Link with ${label}`} busy="Going there …" isPrimary={false} />
    </form>
  );
}

/** One's own links. Where the server has no providers and there is no link, there is nothing to show. */
export function Linked() {
  const queries = useQueryClient();
  const { refresh } = useSession();
  const providers = useQuery({
    queryKey: ["providers"],
    queryFn: ({ signal }) => get("/api/v1/session/oidc", { signal }),
  });
  const links = useQuery({
    queryKey: ["links"],
    queryFn: ({ signal }) => get("/api/v1/account/oidc", { signal }),
  });
  const offered = providers.data?.items ?? [];
  const have = links.data?.items ?? [];
  if (offered.length === 0 && have.length === 0) return null;
  const isOurs = !have.some((link) => link.is_origin);
  const free = offered.filter(({ name }) => isOurs && !have.some((link) => link.provider === name));
  const label = (name: string) => offered.find((one) => one.name === name)?.label ?? name;
  return (
    <section className="panel" aria-labelledby="links">
      <div className="panel-head">
        <h2 id="links">Providers</h2>
      </div>
      <Loaded query={links} what="Reading what you are linked with">
        {({ items }) => (
          <ul className="rows" aria-label="Links">
            {items.map((link) => (
              <li key={link.issuer}>
                <strong>{label(link.provider)}</strong>
                <span className="quiet">
                  {link.last_used_at ? (
                    <>
                      used <Ago at={link.last_used_at} />
                    </>
                  ) : (
                    <>
                      linked <Ago at={link.created_at} />
                    </>
                  )}
                  {link.is_origin ? "; your roles come from there" : ""}
                </span>
                {!link.is_origin && (
                  <Act
                    name="Unlink"
                    isDangerous
                    title={`End the link with ${label(link.provider)}?`}
                    reason="none"
                    act={(_, key) => send("delete", "/api/v1/account/oidc/{name}", { at: { name: link.provider }, key })}
                    done={() => {
                      void Promise.all([queries.invalidateQueries({ queryKey: ["links"] }), refresh()]);
                      return { text: `The link with ${label(link.provider)} is ended.` };
                    }}
                    stale={["links", "own-sessions"]}
                  >
                    <p>It signs nobody in here any more, and you are signed out everywhere else.</p>
                  </Act>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {free.map((one) => (
        <LinkWith key={one.name} {...one} />
      ))}
    </section>
  );
}
