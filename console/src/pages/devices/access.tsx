import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { get, send, type Schemas } from "../../api/client";
import type { Device } from "../../api/types";
import { Choice, Field } from "../../parts/fields";
import { Empty, Loaded, Trouble } from "../../parts/states";
import { Table } from "../../parts/table";
import { Tag } from "../../parts/tags";

type Grant = Schemas["Grant"];

export function Access({ device }: { device: Device }) {
  return (
    <div className="panels">
      <Explain device={device} />
      <Grants device={device} />
    </div>
  );
}

const ACTIONS = ["publish", "retain", "receive", "subscribe", "connect"] as const;
type Action = (typeof ACTIONS)[number];

function request(device: Device, action: Action, topic: string): Schemas["ExplainRequest"] {
  const principal = { type: "device", id: device.id } as const;
  return action === "connect" ? { principal, action } : { principal, action, topic };
}

/** Asks policy what it would say, and why. */
function Explain({ device }: { device: Device }) {
  const [action, setAction] = useState<Action>("publish");
  const [topic, setTopic] = useState(`devices/${device.id}/telemetry`);
  const asked = useMutation({
    mutationFn: () => send("post", "/api/v1/policy/explain", { body: request(device, action, topic) }),
  });
  return (
    <section className="panel whole" aria-labelledby="explain">
      <div className="panel-head">
        <h2 id="explain">May it?</h2>
      </div>
      <form
        className="explain-form"
        onSubmit={(event) => {
          event.preventDefault();
          asked.mutate();
        }}
      >
        <Choice
          label="Action"
          value={action}
          onChange={(action) => setAction(action || "publish")}
          options={ACTIONS.map((action) => ({ value: action, word: action }))}
        />
        <Field label={action === "subscribe" ? "Topic filter" : "Topic"} value={topic} onChange={setTopic} isDisabled={action === "connect"} />
        <Button type="submit" className="button primary" isPending={asked.isPending}>
          Explain
        </Button>
      </form>
      {asked.isError && <Trouble error={asked.error} />}
      {asked.data && <Explained of={asked.data} />}
    </section>
  );
}

function Explained({ of }: { of: Schemas["Explanation"] }) {
  return (
    <div role="status">
      <p>
        <Tag tone={of.allowed ? "good" : "bad"}>{of.allowed ? "Allowed" : "Denied"}</Tag> {of.summary}
      </p>
      <dl className="facts explained">
        {of.reason && (
          <>
            <dt>Reason</dt>
            <dd>{of.reason.code.replaceAll("_", " ")}</dd>
          </>
        )}
        <dt>Policies</dt>
        <dd>{of.policies.length > 0 ? of.policies.join(", ") : "none decided"}</dd>
        <dt>Grants</dt>
        <dd>{of.grants.length > 0 ? of.grants.map((grant) => <code key={grant}>{grant} </code>) : "none matched"}</dd>
        <dt>Decided at</dt>
        <dd>
          policy epoch {of.stamp.policy}, posture epoch {of.stamp.posture}
        </dd>
      </dl>
    </div>
  );
}

function isAbout(grant: Grant, device: Device): boolean {
  switch (grant.scope.type) {
    case "fleet":
      return true;
    case "product":
      return grant.scope.id === device.product;
    case "segment":
      return grant.scope.id === device.posture.segment;
    case "device":
      return grant.scope.id === device.id;
    default:
      return false;
  }
}

function Grants({ device }: { device: Device }) {
  const grants = useQuery({
    queryKey: ["grants"],
    queryFn: ({ signal }) => get("/api/v1/grants", { query: { limit: 1000 }, signal }),
    staleTime: 30_000,
  });
  return (
    <section className="panel whole" aria-labelledby="grants">
      <div className="panel-head">
        <h2 id="grants">Topics that are its own</h2>
        {grants.data?.next && <span className="quiet">of the first 1,000 grants</span>}
      </div>
      <Loaded query={grants} what="Reading grants">
        {({ items }) => {
          const own = items.filter((grant) => isAbout(grant, device));
          if (own.length === 0) {
            return (
              <Empty title="No grant is about this device">
                <p>Without a grant it may not say or hear anything. Give its product one:</p>
                <pre>{`palisade grant add --product ${device.product} --allow publish 'devices/{device}/telemetry/#'`}</pre>
              </Empty>
            );
          }
          return (
            <Table
              caption="Grants for the device"
              items={own}
              id={(grant) => grant.id}
              columns={[
                { name: "Pattern", cell: (grant) => <code>{grant.pattern}</code> },
                {
                  name: "May",
                  cell: (grant) => Object.entries(grant.actions).flatMap(([action, may]) => (may ? [action] : [])).join(", "),
                },
                {
                  name: "Through",
                  cell: ({ scope }) => (scope.type === "fleet" ? "the whole fleet" : `${scope.type} ${scope.id}`),
                  label: true,
                },
              ]}
            />
          );
        }}
      </Loaded>
    </section>
  );
}
