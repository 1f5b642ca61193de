import { useMutation, useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";

import { get, send } from "../../api/client";
import type { AnyEvent } from "../../api/types";
import { kindWord, sayEvent } from "../../parts/event";
import { useParts } from "../../parts/pager";
import { Empty, Loaded, Trouble } from "../../parts/states";
import { Listing } from "../../parts/table";
import { count } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function LedgerPart() {
  const parts = useParts("ledger", {}, (before, signal) =>
    get("/api/v1/ledger", { query: { before: before ? Number(before) : Number.MAX_SAFE_INTEGER, limit: 50 }, signal }),
  );
  return (
    <section aria-label="Ledger">
      <Head />
      <Listing
        parts={parts}
        what="Reading the ledger"
        empty={<Empty title="The ledger is empty" />}
        caption="Entries of the ledger, newest first"
        id={(item) => item.seq}
        columns={[
          { name: "Number", cell: (item) => count(item.seq), kind: "number" },
          { name: "When", cell: (item) => <Ago at={eventOf(item).time} />, kind: "nowrap" },
          { name: "What", cell: (item) => kindWord(eventOf(item).kind) },
          { name: "Entry", cell: (item) => <Said event={eventOf(item)} />, kind: "wide" },
          { name: "Hash", cell: ({ leaf }) => <code title={leaf}>{leaf.slice(0, 10)}…</code> },
        ]}
      />
    </section>
  );
}

const eventOf = (item: { readonly entry: unknown }) => item.entry as AnyEvent;

function Said({ event }: { event: AnyEvent }) {
  return (
    <>
      {event.principal ? `${event.principal.id}: ` : ""}
      {sayEvent(event)}
    </>
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
