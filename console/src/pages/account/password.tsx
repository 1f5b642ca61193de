import { useState } from "react";

import { ApiError, ask } from "../../api/client";
import { useMe, useSession } from "../../api/session";
import { Field } from "../../parts/fields";
import { Submit, useSubmit } from "../../parts/form";
import { Trouble } from "../../parts/states";

/** A new password in place of the old one. The server ends all sessions then: this one begins anew with it. */
export function ChangePassword() {
  const me = useMe();
  const { withAccount, leave } = useSession();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const form = useSubmit(async () => {
    if (password !== again) throw new ApiError(422, "the two new passwords are not the same");
    const body = JSON.stringify({ current, password });
    const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() };
    await ask("PUT", "/api/v1/account/password", { body, headers }, 30_000);
    // With a second factor the sign-in page asks for it.
    await withAccount(me.name, password, "").catch(() => leave("Your password is changed. Sign in with it."));
  });
  const isCurrentWrong = form.error instanceof ApiError && form.error.status === 403;
  return (
    <form onSubmit={form.submit} className="step">
      <input className="hidden" type="text" autoComplete="username" value={me.name} readOnly tabIndex={-1} aria-hidden="true" />
      <Field
        label="Password now"
        type="password"
        value={current}
        onChange={setCurrent}
        autoComplete="current-password"
        maxLength={256}
        isRequired
      />
      <Field
        label="New password"
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="new-password"
        hint="15 characters or more, 8 beside a second factor; a sentence that only you would say is a good one."
        maxLength={256}
        isRequired
      />
      <Field
        label="New password, again"
        type="password"
        value={again}
        onChange={setAgain}
        autoComplete="new-password"
        maxLength={256}
        isRequired
      />
      {form.error ? (
        <Trouble error={form.error} todo={isCurrentWrong ? "Type the password that you signed in with just now." : undefined} />
      ) : null}
      <Submit form={form} name="Change the password" busy="Changing …" />
    </form>
  );
}
