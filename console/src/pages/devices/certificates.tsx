import { useQuery } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";
import { Empty, Loaded } from "../../parts/states";
import { Table } from "../../parts/table";
import { Tag } from "../../parts/tags";
import { Ago, exactTime } from "../../parts/time";

export function Certificates({ id }: { id: string }) {
  const certificates = useQuery({
    queryKey: ["certificates", id],
    queryFn: ({ signal }) => get("/api/v1/devices/{id}/certificates", { at: { id }, signal }),
    refetchInterval: 30_000,
  });
  return (
    <Loaded query={certificates} what="Reading its certificates">
      {({ items }) =>
        items.length === 0 ? (
          <Empty title="It has no certificate">
            <p>It enrols with a token:</p>
            <pre>{`palisade token create --device ${id} --ttl 1h`}</pre>
          </Empty>
        ) : (
          <Table
            caption="Certificates of the device"
            items={items}
            id={(certificate) => certificate.serial}
            columns={[
              { name: "Serial number", cell: (one) => <code>{one.serial}</code> },
              { name: "State", cell: (one) => <State of={one} /> },
              { name: "Issued", cell: (one) => <Ago at={one.issued_at} />, label: true },
              { name: "Ends", cell: (one) => exactTime(one.not_after), label: true },
              { name: "Issuer", cell: (one) => one.issuer, label: true },
            ]}
          />
        )
      }
    </Loaded>
  );
}

function State({ of }: { of: Schemas["Certificate"] }) {
  if (of.revocation) return <Tag tone="bad">Revoked: {of.revocation.reason}</Tag>;
  if (Date.parse(of.not_after) < Date.now()) return <Tag>Over</Tag>;
  return <Tag tone="good">Valid</Tag>;
}
