// Signing in with a provider of OpenID Connect: the browser goes there and comes back.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { get } from "../../api/client";
import { useSession } from "../../api/session";
import { Field } from "../../parts/fields";
import { Submit, useSubmit } from "../../parts/form";
import { Trouble } from "../../parts/states";
import { usePlace } from "../../router";

/** Where to go on after the sign-in, in characters that the server takes. */
function here(): string {
  const place = location.pathname + location.search;
  return /^\/([!-.0-[\]-~][!-[\]-~]*)?$/.test(place) && place.length <= 512 ? place : "/";
}

export function Providers() {
  const providers = useQuery({
    queryKey: ["providers"],
    queryFn: ({ signal }) => get("/api/v1/session/oidc", { signal }),
    staleTime: 60_000,
  });
  // Where they cannot be read there are the other ways, and these say what is wrong.
  const items = providers.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <ul className="providers" aria-label="Providers">
      {items.map(({ name, label }) => (
        <li key={name}>
          <a className="button wide" href={`/api/v1/session/oidc/${name}/begin?next=${encodeURIComponent(here())}`}>
            Sign in with {label}
          </a>
        </li>
      ))}
    </ul>
  );
}

/** The code of the second factor that somebody owes who came back from a provider. */
export function Owed({ kind }: { kind: string }) {
  const { withOwedCode } = useSession();
  const { query, go } = usePlace();
  const [code, setCode] = useState("");
  const form = useSubmit(async () => {
    await withOwedCode(code.trim());
    go(query.get("next") ?? "/", { replace: true });
  });
  return (
    <>
      <p>The provider knows you. This server asks for your second factor as well.</p>
      <form onSubmit={form.submit}>
        <Field
          label={kind === "recovery" ? "Recovery code" : "Code of your second factor"}
          hint={
            kind === "recovery"
              ? "Your second factor is a passkey: go back and use it in place of the provider. Without it, one of your recovery codes lets you in."
              : "The six digits of your authenticator app, or one of your recovery codes."
          }
          value={code}
          onChange={setCode}
          autoComplete="one-time-code"
          inputMode="text"
          isRequired
          autoFocus
        />
        {form.error ? (
          <Trouble error={form.error} todo="Each code counts once: wait for the next one, or go back and begin anew." />
        ) : null}
        <Submit form={form} name="Sign in" busy="Signing in …" />
      </form>
      <Button className="button quiet-button wide" onPress={() => go("/", { replace: true })}>
        Sign in another way
      </Button>
    </>
  );
}
