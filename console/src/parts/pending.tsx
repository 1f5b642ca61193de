// Acts that wait for a second person. Each was confirmed here already; when somebody else has approved it, the very same
// request goes out again, once, for as long as this tab is open.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { Button } from "react-aria-components";

import { get } from "../api/client";
import { Link } from "../router";
import { Icon } from "./icon";
import { useNotices } from "./notices";

interface Waiting {
  /** The approval's name. */
  id: string;
  title: string;
  /** Does it, and says so. */
  resume: () => Promise<void>;
}

interface Pending {
  waiting: readonly Waiting[];
  wait(one: Waiting): void;
  /** Forgets it here; its approval stays where it is. */
  drop(id: string): void;
}

const EVERY_MS = 3_000;
const Context = createContext<Pending | null>(null);

export function usePending(): Pending {
  const pending = useContext(Context);
  if (!pending) throw new Error("nothing can wait here");
  return pending;
}

export function PendingProvider({ children }: { children: ReactNode }) {
  const [waiting, setWaiting] = useState<readonly Waiting[]>([]);
  const wait = useCallback((one: Waiting) => setWaiting((all) => [...all.filter((other) => other.id !== one.id), one]), []);
  const drop = useCallback((id: string) => setWaiting((all) => all.filter((one) => one.id !== id)), []);
  const value = useMemo(() => ({ waiting, wait, drop }), [waiting, wait, drop]);
  return <Context value={value}>{children}</Context>;
}

/** Says what waits, and does it when it may be done. */
export function PendingActs() {
  const { waiting, drop } = usePending();
  const { say } = useNotices();
  const queries = useQueryClient();
  const under = useRef(new Set<string>());
  const approvals = useQuery({
    queryKey: ["approvals", "pending"],
    queryFn: ({ signal }) => get("/api/v1/approvals", { query: { limit: 1000 }, signal }),
    enabled: waiting.length > 0,
    refetchInterval: EVERY_MS,
  });

  useEffect(() => {
    for (const one of waiting) {
      const found = approvals.data?.items.find((approval) => approval.id === one.id);
      if (!found || under.current.has(one.id)) continue;
      if (found.state === "approved") {
        under.current.add(one.id);
        one
          .resume()
          .catch((error: unknown) => say(`${one.title} It was approved, and failed: ${error instanceof Error ? error.message : String(error)}.`))
          .finally(() => {
            drop(one.id);
            void queries.invalidateQueries({ queryKey: ["approvals"] });
          });
      } else if (found.state === "rejected") {
        say(`${one.title} ${found.decided_by ?? "Somebody"} rejected it: nothing was done.`);
        drop(one.id);
      } else if (found.state !== "waiting" || Date.parse(found.expires_at) < Date.now()) {
        say(`${one.title} Its hour is over: ask again.`);
        drop(one.id);
      }
    }
  }, [approvals.data, waiting, drop, say, queries]);

  if (waiting.length === 0) return null;
  return (
    <section className="pending" aria-label="Waiting for a second person" role="status">
      <ul>
        {waiting.map((one) => (
          <li key={one.id}>
            <Icon name="clock" />
            <span>
              {one.title} <span className="quiet">It waits for a second person and goes on by itself, for an hour, while this tab is open.</span>
            </span>
            <Link href="/requests">See it</Link>
            <Button className="button quiet-button" onPress={() => drop(one.id)}>
              Leave it
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
