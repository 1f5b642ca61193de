import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Disclosure, DisclosurePanel, Heading } from "react-aria-components";

import { get } from "../../api/client";
import type { AnyEvent } from "../../api/types";
import { EventList } from "../../parts/event";
import { Icon } from "../../parts/icon";
import { Empty, Loaded } from "../../parts/states";
import { many, SeverityTag, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";

export function FindingRow({ id }: { id: string }) {
  const [isOpen, setOpen] = useState(false);
  const finding = useQuery({
    queryKey: ["findings", id],
    queryFn: ({ signal }) => get("/api/v1/findings/{id}", { at: { id }, signal }),
    staleTime: 15_000,
  });
  return (
    <li>
      <Loaded query={finding} what="Reading a finding">
        {(found) => (
          <Disclosure className="finding" isExpanded={isOpen} onExpandedChange={setOpen}>
            <Heading level={3} className="finding-head">
              <Button slot="trigger" className="finding-button">
                <Icon name="next" />
                <span>{found.title}</span>
              </Button>
              <SeverityTag of={found.severity} />
              {found.state === "cleared" && <Tag tone="good">Cleared</Tag>}
              <span className="quiet finding-when">
                {found.confidence} % sure, {many(found.count, "time")}, <Ago at={found.last_seen} />
              </span>
            </Heading>
            <p>{found.detail}</p>
            <DisclosurePanel className="finding-panel">
              <p className="quiet">
                Found by <code>{found.detector}</code>
                {found.techniques.length > 0 ? `, ${found.techniques.join(", ")}` : ""}. The events that show it:
              </p>
              {found.events.length === 0 ? (
                <Empty title="Its events are no longer kept">
                  <p>The ledger still has those that an auditor needs.</p>
                </Empty>
              ) : (
                <EventList label="Evidence" events={found.events.map((item) => item.event as AnyEvent)} />
              )}
            </DisclosurePanel>
          </Disclosure>
        )}
      </Loaded>
    </li>
  );
}
