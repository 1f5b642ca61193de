import { useMe } from "../../api/session";
import { Ago } from "../../parts/time";

export function Myself() {
  const me = useMe();
  return (
    <section className="panel" aria-labelledby="myself">
      <div className="panel-head">
        <h2 id="myself">You</h2>
      </div>
      <dl className="facts">
        <dt>Name</dt>
        <dd>{me.name}</dd>
        <dt>Signed in with</dt>
        <dd>{me.kind === "token" ? "an API token, kept in this tab's memory" : "an account"}</dd>
        {me.roles.length > 0 && (
          <>
            <dt>Roles</dt>
            <dd>{me.roles.join(", ")}</dd>
          </>
        )}
        <dt>May</dt>
        <dd>{me.scopes.includes("*") ? "everything" : me.scopes.join(", ")}</dd>
        <dt>Ends</dt>
        <dd>{me.expires_at ? <Ago at={me.expires_at} /> : "has no end"}</dd>
      </dl>
    </section>
  );
}
