// Who may what, do they use it, and what could be taken away? Somebody looks, and signs that they did.
import { useState } from "react";

import { follow, get, send, type Schemas } from "../../api/client";
import { useMay, useMe } from "../../api/session";
import { Act } from "../../parts/act";
import { Choice } from "../../parts/fields";
import { useParts } from "../../parts/pager";
import { Age, Empty, Loaded, sentence } from "../../parts/states";
import { Listing } from "../../parts/table";
import { count, many, Tag } from "../../parts/tags";
import { Ago } from "../../parts/time";
import { boundsInWords } from "./assignments";
import { AccountName } from "./name";
import { useReview, type Review, type Reviewed, type Suggestion } from "./review-data";
import { ReviewPlan } from "./review-plan";
import { Names } from "./roles";

const SPANS = ["7", "30", "90", "365"] as const;
type Span = (typeof SPANS)[number];

export function AccessReview() {
  const [days, setDays] = useState<Span>("90");
  const review = useReview(Number(days));
  return (
    <>
      <div className="panel-head">
        <Choice
          label="Uses of the last"
          value={days}
          onChange={(days) => setDays(days || "90")}
          options={SPANS.map((value) => ({ value, word: `${value} days` }))}
        />
        <Age query={review} />
      </div>
      <Loaded query={review} what="Reading who may what">
        {(found) => (
          <div className="stack">
            <Summary of={found} />
            <ReviewPlan />
            <Accounts of={found.items} />
            {found.tokens.length > 0 && <Tokens of={found} />}
            <Signed />
          </div>
        )}
      </Loaded>
    </>
  );
}

function Summary({ of }: { of: Review }) {
  const may = useMay();
  const me = useMe();
  const { digest, days } = of;
  return (
    <section className="panel" aria-labelledby="review-summary">
      <div className="panel-head">
        <h2 id="review-summary">
          {many(of.accounts, "account")}, {many(of.suggestions, "suggestion")}
        </h2>
        {may("access:review") && me.kind === "account" && (
          <Act
            name="Sign it"
            icon="check"
            isPrimary
            title="Sign that you looked at this?"
            act={(note, key) => send("post", "/api/v1/access/review", { body: { digest, days, note }, key })}
            done={() => ({ text: "It is signed, and in the ledger." })}
            stale={["access-reviews", "access-review"]}
          >
            <p>
              Your name stands under who may what, as it is shown here: {many(of.accounts, "account")}, with roles, teams, second factors
              and tokens. If that changed meanwhile, you are asked to look again.
            </p>
          </Act>
        )}
      </div>
      <p className="quiet">
        {of.observed_since ? (
          <>
            Uses are known since <Ago at={of.observed_since} />; about disuse nothing is said of what is younger than {of.days} days.
          </>
        ) : (
          "No use is known yet: about disuse nothing can be said."
        )}{" "}
        Digest <code>{of.digest.slice(0, 16)}…</code>
      </p>
    </section>
  );
}

function Suggestions({ of }: { of: readonly Suggestion[] }) {
  if (of.length === 0) return <Tag tone="good">Nothing to do</Tag>;
  return (
    <ul className="plain-list">
      {of.map((one, index) => (
        <li key={index}>
          {one.kind.startsWith("token") ? null : one.about ? <strong>{one.about}: </strong> : null}
          {one.detail}
          {one.remedy && <Follow of={one.remedy} />}
        </li>
      ))}
    </ul>
  );
}

function Follow({ of }: { of: Schemas["Remedy"] }) {
  const may = useMay();
  // Each of them is a right of its own; the server decides.
  if (!may("admin")) return null;
  return (
    <Act
      name="Do it"
      isDangerous
      title={`${sentence(of.does.split(";")[0] ?? of.does)}?`}
      reason="none"
      act={(_, key) => follow(of, key)}
      done={() => ({ text: "It is done, and in the ledger." })}
      stale={["access-review", "accounts", "account"]}
    >
      <p>This {of.does}.</p>
    </Act>
  );
}

function Accounts({ of }: { of: readonly Reviewed[] }) {
  if (of.length === 0) {
    return (
      <Empty title="There is no account yet">
        <p>Make an account for each person: what programs and people share under a token, nobody can review.</p>
      </Empty>
    );
  }
  return (
    <ul className="requests">
      {of.map((account) => (
        <li key={account.name} className="panel">
          <OneAccount of={account} />
        </li>
      ))}
    </ul>
  );
}

function OneAccount({ of }: { of: Reviewed }) {
  const factors = [of.totp && "authenticator app", of.passkeys > 0 && many(of.passkeys, "passkey")].filter(Boolean).join(", ");
  const isToDo = of.suggestions.length > 0 || of.tokens.some((token) => token.suggestions.length > 0);
  return (
    <article aria-label={of.name}>
      <div className="panel-head">
        <h3>
          <AccountName of={of.name} />
        </h3>
        {of.disabled ? <Tag tone="bad">Disabled</Tag> : of.dormant ? <Tag tone="warn">Dormant</Tag> : isToDo ? <Tag tone="warn">To do</Tag> : null}
      </div>
      <dl className="facts">
        <dt>Last sign-in</dt>
        <dd>{of.last_login_at ? <Ago at={of.last_login_at} /> : "never"}</dd>
        <dt>Second factors</dt>
        <dd>{factors || "none"}</dd>
        <dt>Sessions</dt>
        <dd>{count(of.sessions)}</dd>
        <dt>Teams</dt>
        <dd>{of.teams.join(", ") || "none"}</dd>
        <dt>Suggested</dt>
        <dd>
          <Suggestions of={of.suggestions} />
        </dd>
      </dl>
      {of.roles.map((held, index) => (
        <details key={index}>
          <summary>
            {held.role}
            {held.bounds && <> on {boundsInWords(held.bounds)}</>}
            {held.team && <> by team {held.team}</>}: used {held.permits - held.unused.length} of {held.permits}
          </summary>
          {held.unused.length > 0 ? <Names of={held.unused} title="Not used:" /> : <p>All of it was used.</p>}
        </details>
      ))}
      {of.refused.length > 0 && (
        <details>
          <summary>Refused: {many(of.refused.length, "action")}</summary>
          <Names of={of.refused.map((one) => one.action)} title="Tried, and not allowed:" />
        </details>
      )}
      {of.tokens.map((token) => (
        <details key={token.id}>
          <summary>
            Token {token.name}: {useOf(token)}
          </summary>
          <Token of={token} />
        </details>
      ))}
    </article>
  );
}

type ReviewedToken = Review["tokens"][number];

function useOf({ scopes, unused }: ReviewedToken): string {
  if (scopes.includes("*")) return `may do everything, ${many(unused.length, "scope")} not used`;
  return `used ${scopes.length - unused.length} of ${many(scopes.length, "scope")}`;
}

function Token({ of }: { of: ReviewedToken }) {
  return (
    <>
      <TokenFacts of={of} />
      {of.unused.length > 0 && <Names of={of.unused} title="Scopes of which it did nothing:" />}
      {of.used.length > 0 && <Names of={of.used.map((one) => one.action)} title="What it did:" />}
    </>
  );
}

function TokenFacts({ of }: { of: ReviewedToken }) {
  return (
    <dl className="facts">
      <dt>May</dt>
      <dd>{of.scopes.includes("*") ? "everything" : of.scopes.join(", ")}</dd>
      {of.service && (
        <>
          <dt>Service</dt>
          <dd>{of.service}</dd>
        </>
      )}
      <dt>Last used</dt>
      <dd>{of.last_used_at ? <Ago at={of.last_used_at} /> : "never"}</dd>
      <dt>Ends</dt>
      <dd>{of.expires_at ? <Ago at={of.expires_at} /> : "never"}</dd>
      <dt>Suggested</dt>
      <dd>
        <Suggestions of={of.suggestions} />
      </dd>
    </dl>
  );
}

function Tokens({ of }: { of: Review }) {
  return (
    <section className="panel" aria-labelledby="review-tokens">
      <h2 id="review-tokens">Tokens of nobody known</h2>
      {of.tokens.map((token) => (
        <details key={token.id}>
          <summary>
            {token.name}: {useOf(token)}, {many(token.suggestions.length, "suggestion")}
          </summary>
          <Token of={token} />
        </details>
      ))}
    </section>
  );
}

function Signed() {
  const parts = useParts("access-reviews", {}, (after, signal) =>
    get("/api/v1/access/reviews", { query: { limit: 20, ...(after ? { after } : {}) }, signal }),
  );
  return (
    <section className="panel" aria-labelledby="review-signed">
      <h2 id="review-signed">Signed reviews</h2>
      <Listing
        parts={parts}
        what="Reading signed reviews"
        empty={
          <Empty title="Nobody has signed one yet">
            <p>Look at each account above, take away what is not used, then sign. Auditors ask for it each quarter.</p>
          </Empty>
        }
        caption="Signed reviews"
        id={(one) => one.id}
        columns={[
          { name: "Reviewer", cell: (one) => one.reviewer },
          { name: "When", cell: (one) => <Ago at={one.reviewed_at} /> },
          { name: "Accounts", cell: (one) => count(one.accounts), label: true, kind: "number" },
          { name: "Suggestions", cell: (one) => count(one.suggestions), label: true, kind: "number" },
          { name: "Note", cell: (one) => one.note || "–", label: true, kind: "wide" },
          { name: "Digest", cell: ({ digest }) => <code title={digest}>{digest.slice(0, 10)}…</code>, label: true },
        ]}
      />
    </section>
  );
}
