import { useQuery } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";
import { Empty, Loaded } from "../../parts/states";
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
          <div className="table-frame">
            <table className="cards">
              <caption className="hidden">Certificates of the device</caption>
              <thead>
                <tr>
                  <th scope="col">Serial number</th>
                  <th scope="col">State</th>
                  <th scope="col">Issued</th>
                  <th scope="col">Ends</th>
                  <th scope="col">Issuer</th>
                </tr>
              </thead>
              <tbody>
                {items.map((certificate) => (
                  <tr key={certificate.serial}>
                    <th scope="row">
                      <code>{certificate.serial}</code>
                    </th>
                    <td>
                      <State of={certificate} />
                    </td>
                    <td data-name="Issued">
                      <Ago at={certificate.issued_at} />
                    </td>
                    <td data-name="Ends">{exactTime(certificate.not_after)}</td>
                    <td data-name="Issuer">{certificate.issuer}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
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
