import { useMutation, useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";

import { get, send } from "../../api/client";
import type { AnyEvent } from "../../api/types";
import { kindWord, sayEvent } from "../../parts/event";
import { Pager, useParts } from "../../parts/pager";
import { Empty, Loaded, Trouble } from "../../parts/states";
import { count } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function LedgerPart() {
  const parts = useParts("ledger", {}, (before, signal) =>
    get("/api/v1/ledger", { query: { before: before ? Number(before) : Number.MAX_SAFE_INTEGER, limit: 50 }, signal }),
  );
  return (
    <section aria-label="Ledger">
      <Head />
      <Loaded query={parts.query} what="Reading the ledger">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="The ledger is empty" />
          ) : (
            <>
              <div className="table-frame">
                <table className="cards">
                  <caption className="hidden">Entries of the ledger, newest first</caption>
                  <thead>
                    <tr>
                      <th scope="col" className="number">
                        Number
                      </th>
                      <th scope="col">When</th>
                      <th scope="col">What</th>
                      <th scope="col">Entry</th>
                      <th scope="col">Hash</th>
                    </tr>
                  </thead>
                  <tbody>
                    {page.items.map((item) => {
                      const event = item.entry as AnyEvent;
                      return (
                        <tr key={item.seq}>
                          <th scope="row" className="number">
                            {count(item.seq)}
                          </th>
                          <td className="nowrap">
                            <Ago at={event.time} />
                          </td>
                          <td>{kindWord(event.kind)}</td>
                          <td className="wide-cell">
                            {event.principal ? `${event.principal.id}: ` : ""}
                            {sayEvent(event)}
                          </td>
                          <td>
                            <code title={item.leaf}>{item.leaf.slice(0, 10)}…</code>
                          </td>
                        </tr>
                      );
                    })}
                  </tbody>
                </table>
              </div>
              <Pager parts={parts} />
            </>
          )
        }
      </Loaded>
    </section>
  );
}

function Head() {
  const head = useQuery({
    queryKey: ["ledger-head"],
    queryFn: ({ signal }) => get("/api/v1/ledger/head", { signal }),
    refetchInterval: 10_000,
  });
  const verifying = useMutation({ mutationFn: () => send("post", "/api/v1/ledger/verify") });
  return (
    <div className="ledger-head">
      <Loaded query={head} what="Reading its head">
        {({ entries, root }) => (
          <p>
            {count(entries)} entries. Root <code>{root}</code>
          </p>
        )}
      </Loaded>
      <Button className="button" isPending={verifying.isPending} onPress={() => verifying.mutate()}>
        {verifying.isPending ? "Reading every entry …" : "Verify it"}
      </Button>
      {verifying.isError && <Trouble error={verifying.error} />}
      {verifying.data && (
        <p role="status" className={verifying.data.fault ? "trouble" : "verified"}>
          {verifying.data.fault ?? `${count(verifying.data.entries)} entries are as they were written.`}
        </p>
      )}
    </div>
  );
}
