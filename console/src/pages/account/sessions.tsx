import { useQuery } from "@tanstack/react-query";

import { get, send, type Schemas } from "../../api/client";
import { Act } from "../../parts/act";
import { Age, Empty, Loaded } from "../../parts/states";
import { Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

type LogIn = Schemas["LogInSession"];

/** Where one is signed in. */
export function OwnSessions() {
  const sessions = useQuery({
    queryKey: ["own-sessions"],
    queryFn: ({ signal }) => get("/api/v1/account/sessions", { signal }),
    refetchInterval: 30_000,
  });
  return (
    <section className="panel whole" aria-labelledby="own-sessions">
      <div className="panel-head">
        <h2 id="own-sessions">Where you are signed in</h2>
        <Age query={sessions} />
      </div>
      <Loaded query={sessions} what="Reading sessions">
        {({ items }) => (
          <LogInTable
            sessions={items}
            caption="Your sessions"
            end={(id, key) => send("delete", "/api/v1/account/sessions/{id}", { at: { id }, key })}
            stale={["own-sessions"]}
          />
        )}
      </Loaded>
    </section>
  );
}

export function LogInTable({
  sessions,
  caption,
  end,
  stale,
}: {
  sessions: readonly LogIn[];
  caption: string;
  end: (id: string, key: string) => Promise<unknown>;
  stale: readonly string[];
}) {
  if (sessions.length === 0) return <Empty title="Signed in nowhere" />;
  return (
    <div className="table-frame">
      <table className="cards">
        <caption className="hidden">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Factors</th>
            <th scope="col">Began</th>
            <th scope="col">Last used</th>
            <th scope="col">Ends</th>
            <th scope="col">
              <span className="hidden">Acts</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sessions.map((session) => (
            <tr key={session.id}>
              <th scope="row">{session.source ?? "unknown"}</th>
              <td>
                {session.second_factor ? <Tag tone="good">Two factors</Tag> : <Tag tone="warn">Password alone</Tag>}
              </td>
              <td data-name="Began">
                <Ago at={session.created_at} />
              </td>
              <td data-name="Used">
                <Ago at={session.seen_at} />
              </td>
              <td data-name="Ends">
                <Ago at={session.expires_at} />
              </td>
              <td className="row-act">
                <Act
                  name="End"
                  isDangerous
                  title="End this session?"
                  reason="none"
                  act={(_, key) => end(session.id, key)}
                  done={() => ({ text: "The session has ended." })}
                  stale={stale}
                >
                  <p>Whoever uses it is signed out at the next request. If it is the one of this page, that is you.</p>
                </Act>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
