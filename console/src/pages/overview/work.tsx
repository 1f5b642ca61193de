import { useQuery, type UseQueryResult } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";
import { useMe } from "../../api/session";
import { Empty, Loaded } from "../../parts/states";
import { count, SeverityTag } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { caseHref, Link } from "../../router";
import { openCases } from "./verdict";

export function CasesPanel({ response }: { response: UseQueryResult<Schemas["Response"]> }) {
  const cases = useQuery({
    queryKey: ["cases", "overview"],
    queryFn: ({ signal }) => get("/api/v1/cases", { query: { open: true, limit: 6 }, signal }),
    refetchInterval: 15_000,
  });
  return (
    <section className="panel" aria-labelledby="open-cases">
      <div className="panel-head">
        <h2 id="open-cases">Open cases</h2>
        {response.data && <span className="quiet figure">{count(openCases(response.data))}</span>}
      </div>
      <Loaded query={cases} what="Reading cases">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="No case is open">
              <p>
                A finding opens a case by itself. To see one on purpose, run <code>palisade drill</code>.
              </p>
            </Empty>
          ) : (
            <>
              <ul className="rows">
                {page.items.map((each) => (
                  <li key={each.id}>
                    <SeverityTag of={each.severity} />
                    <span>
                      <Link href={caseHref(each.id)}>{each.title}</Link>
                      <span className="quiet"> {each.subject}</span>
                    </span>
                    <Ago at={each.updated_at} />
                  </li>
                ))}
              </ul>
              {page.next && <Link href="/cases">All open cases</Link>}
            </>
          )
        }
      </Loaded>
    </section>
  );
}

export function WaitingPanel() {
  const actions = useQuery({
    queryKey: ["actions", "waiting"],
    queryFn: ({ signal }) => get("/api/v1/actions", { query: { state: "waiting", limit: 6 }, signal }),
    refetchInterval: 15_000,
  });
  return (
    <section className="panel" aria-labelledby="waiting">
      <div className="panel-head">
        <h2 id="waiting">Waiting for a decision</h2>
      </div>
      <Requests />
      <Loaded query={actions} what="Reading actions">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="Nothing waits for you">
              <p>Actions of playbooks in the mode “approve” would stand here until somebody decides.</p>
            </Empty>
          ) : (
            <ul className="rows">
              {page.items.map((action) => (
                <li key={action.id}>
                  <span className="tag" data-tone="warn">
                    {action.action}
                  </span>
                  <Link href={caseHref(action.case)}>{action.target}</Link>
                  <Ago at={action.ordered_at} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}

/** What other people ask, and somebody else must decide: perhaps you. */
function Requests() {
  const me = useMe();
  const requests = useQuery({
    queryKey: ["approvals", "overview"],
    queryFn: async ({ signal }) => {
      const [acts, roles] = await Promise.all([
        get("/api/v1/approvals", { query: { limit: 200 }, signal }),
        get("/api/v1/elevations", { query: { limit: 200 }, signal }),
      ]);
      const isOpen = (end: string) => Date.parse(end) > Date.now();
      return {
        acts: acts.items.filter((one) => one.state === "waiting" && isOpen(one.expires_at) && one.asker !== `account:${me.name}`).length,
        roles: roles.items.filter((one) => one.state === "waiting" && one.account !== me.name).length,
      };
    },
    enabled: me.kind === "account",
    refetchInterval: 15_000,
  });
  const { acts = 0, roles = 0 } = requests.data ?? {};
  if (acts + roles === 0) return null;
  return (
    <ul className="rows">
      {acts > 0 && (
        <li>
          <span className="tag" data-tone="warn">
            {count(acts)}
          </span>
          <Link href="/requests">{acts === 1 ? "An act waits" : "Acts wait"} for a second person</Link>
        </li>
      )}
      {roles > 0 && (
        <li>
          <span className="tag" data-tone="warn">
            {count(roles)}
          </span>
          <Link href="/requests?tab=roles">{roles === 1 ? "A role is asked for" : "Roles are asked for"}</Link>
        </li>
      )}
    </ul>
  );
}
