import { useQuery } from "@tanstack/react-query";

import { ApiError, get, send } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Age, Empty, Loaded } from "../../parts/states";
import { Table } from "../../parts/table";
import { count, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function Shadow() {
  const may = useMay();
  const shadow = useQuery({
    queryKey: ["shadow"],
    queryFn: async ({ signal }) => {
      try {
        return await get("/api/v1/policy/shadow", { signal });
      } catch (error) {
        // Nothing is tried: that is an answer too.
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      }
    },
    refetchInterval: 10_000,
  });
  return (
    <Loaded query={shadow} what="Reading the trial">
      {(report) =>
        report === null ? (
          <Empty title="No text is tried">
            <p>
              Change the text under Policies and try it in the shadow: it decides nothing, and shows here what it would have
              decided otherwise, before you apply it.
            </p>
          </Empty>
        ) : (
          <section className="panel" aria-labelledby="shadow">
            <div className="panel-head">
              <h2 id="shadow">
                {count(report.differing)} of {count(report.compared)} decisions would differ
              </h2>
              <Age query={shadow} />
            </div>
            <p className="quiet">
              Tried since <Ago at={report.since} />.
            </p>
            {report.differences.length > 0 && (
              <Table
                caption="Differences"
                items={report.differences}
                id={(each) => [each.who, each.action, each.topic, each.would_allow].join(" ")}
                columns={[
                  { name: "Who", cell: (each) => each.who },
                  {
                    name: "What",
                    cell: (each) => (
                      <>
                        {String(each.action)} <code>{each.topic}</code>
                      </>
                    ),
                  },
                  {
                    name: "Would be",
                    cell: ({ would_allow: may }) => <Tag tone={may ? "good" : "bad"}>{may ? "Allowed" : "Denied"}</Tag>,
                  },
                  { name: "Times", cell: (each) => count(each.count), label: true, kind: "number" },
                ]}
              />
            )}
            {may("policy:write") && (
              <div className="pager">
                <Act
                  name="End the trial"
                  title="End the trial?"
                  reason="none"
                  act={(_, key) => send("delete", "/api/v1/policy/shadow", { key })}
                  done={() => ({ text: "The trial is over; nothing was changed by it." })}
                  stale={["shadow"]}
                >
                  <p>What it counted is forgotten.</p>
                </Act>
              </div>
            )}
          </section>
        )
      }
    </Loaded>
  );
}
