import { useQuery } from "@tanstack/react-query";

import { get, send, type Schemas } from "../../api/client";
import { Act } from "../../parts/act";
import { Age, Empty, Loaded } from "../../parts/states";
import { Table } from "../../parts/table";
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
    <Table
      caption={caption}
      items={sessions}
      id={(session) => session.id}
      columns={[
        {
          name: "From",
          cell: (session) => (
            <>
              {session.source ?? "unknown"}
              {session.current && (
                <>
                  {" "}
                  <Tag tone="info">This session</Tag>
                </>
              )}
            </>
          ),
        },
        {
          name: "Factors",
          cell: (session) =>
            session.second_factor ? <Tag tone="good">Two factors</Tag> : <Tag tone="warn">Password alone</Tag>,
        },
        { name: "Began", cell: (session) => <Ago at={session.created_at} />, label: true },
        { name: "Last used", cell: (session) => <Ago at={session.seen_at} />, label: "Used" },
        { name: "Ends", cell: (session) => <Ago at={session.expires_at} />, label: true },
        {
          name: "Acts",
          kind: "act",
          cell: ({ id, current }) => (
            <Act
              name={current ? "End this one" : "End"}
              isDangerous
              title="End this session?"
              reason="none"
              act={(_, key) => end(id, key)}
              done={() => ({ text: "The session has ended." })}
              stale={stale}
            >
              <p>
                {current
                  ? "It is the session of this page: you are signed out at once."
                  : "Whoever uses it is signed out at the next request."}
              </p>
            </Act>
          ),
        },
      ]}
    />
  );
}
