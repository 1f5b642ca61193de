import { useQuery } from "@tanstack/react-query";

import { get, send } from "../../api/client";
import { useMay } from "../../api/session";
import { Act } from "../../parts/act";
import { Pager, useParts } from "../../parts/pager";
import { Age, Empty, Loaded } from "../../parts/states";
import { SeverityTag, Tag } from "../../parts/tags";
import { span } from "../../parts/time";
import { Switch } from "../settings/switch";

const STALE = ["playbooks"];
const set = (name: string, to: "enable" | "disable", key?: string) =>
  send("post", to === "enable" ? "/api/v1/playbooks/{name}/enable" : "/api/v1/playbooks/{name}/disable", {
    at: { name },
    ...(key ? { key } : {}),
  });

/** What is done by itself, and what holds it back. */
export function Playbooks() {
  return (
    <div className="stack">
      <div className="panels">
        <Switch />
        <Rails />
      </div>
      <Books />
    </div>
  );
}

function Rails() {
  const rails = useQuery({ queryKey: ["guard-rails"], queryFn: ({ signal }) => get("/api/v1/guard-rails", { signal }), refetchInterval: 60_000 });
  return (
    <section className="panel" aria-labelledby="rails">
      <div className="panel-head">
        <h2 id="rails">Guard rails</h2>
        <Age query={rails} />
      </div>
      <Loaded query={rails} what="Reading the guard rails">
        {(found) => {
          const { never_touch: never, caps } = found;
          const untouched = [
            ...never.devices,
            ...never.segments.map((one) => `segment ${one}`),
            ...never.products.map((one) => `product ${one}`),
            ...never.addresses,
            ...never.api_tokens.map((one) => `token ${one}`),
            ...Object.entries(never.labels).map(([key, value]) => `${key}=${String(value)}`),
          ];
          return (
            <dl className="facts">
              <dt>At most</dt>
              <dd>{found.max_mode === "auto" ? "acts by itself" : found.max_mode === "approve" ? "waits for a person" : found.max_mode}</dd>
              <dt>In {span(caps.window_s)}</dt>
              <dd>
                {caps.full} lose all service, {caps.partial} a part, {caps.permanent} what cannot be given back; {caps.share_percent} % of
                a segment or product, at least {caps.share_at_least}
              </dd>
              <dt>Undone after</dt>
              <dd>{span(found.max_ttl_s)} at most</dd>
              <dt>Waits</dt>
              <dd>{span(found.approval_timeout_s)} for a person</dd>
              <dt>Second person</dt>
              <dd>{found.second_person ? "approves what somebody ordered" : "not needed"}</dd>
              <dt>Never touched</dt>
              <dd>{untouched.length > 0 ? untouched.join(", ") : "nothing is named: see respond.never_touch"}</dd>
            </dl>
          );
        }}
      </Loaded>
    </section>
  );
}

function Books() {
  const may = useMay();
  const parts = useParts("playbooks", {}, (after, signal) =>
    get("/api/v1/playbooks", { query: { limit: 50, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <section aria-labelledby="playbooks">
      <div className="panel-head">
        <h2 id="playbooks">Playbooks</h2>
        <Age query={parts.query} />
      </div>
      <Loaded query={parts.query} what="Reading playbooks">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There is no playbook">
              <p>
                A playbook is a YAML file in the directory of playbooks; <code>palisade playbook check</code> judges one.
              </p>
            </Empty>
          ) : (
            <ul className="books">
              {items.map((book) => (
                <li key={book.name} className="panel">
                  <div className="panel-head">
                    <h3>{book.name}</h3>
                    <span className="head-acts">
                      {book.enabled ? <Tag tone="good">On</Tag> : <Tag>Off</Tag>}
                      <Tag>{book.origin === "shipped" ? "Shipped" : "Your own"}</Tag>
                    </span>
                  </div>
                  <p>{book.description}</p>
                  <dl className="facts">
                    <dt>From</dt>
                    <dd>
                      <SeverityTag of={book.min_severity} />
                    </dd>
                    <dt>Does</dt>
                    <dd>
                      {book.actions
                        .map(({ action, mode, ttl }) => `${action} (${mode}${ttl ? `, ${ttl}` : ""})`)
                        .join(", then ")}
                    </dd>
                  </dl>
                  <details>
                    <summary>Its text</summary>
                    <pre className="text" tabIndex={0}>
                      {book.text}
                    </pre>
                  </details>
                  {may("respond:write") && (
                    <div className="head-acts">
                      <Act
                        name={book.enabled ? "Switch off" : "Switch on"}
                        isPrimary={!book.enabled}
                        title={`Switch ${book.name} ${book.enabled ? "off" : "on"}?`}
                        reason="none"
                        act={(_, key) => set(book.name, book.enabled ? "disable" : "enable", key)}
                        done={() => ({
                          text: `${book.name} is ${book.enabled ? "off" : "on"}.`,
                          undo: () => set(book.name, book.enabled ? "enable" : "disable").then(() => `${book.name} is as before.`),
                        })}
                        stale={STALE}
                      >
                        <p>
                          {book.enabled
                            ? "It orders nothing more. What it ordered stays as it is."
                            : "It acts on the next finding that it is for, within the guard rails."}
                        </p>
                      </Act>
                    </div>
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Pager parts={parts} />
    </section>
  );
}
