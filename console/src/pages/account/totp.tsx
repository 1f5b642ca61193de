import { useEffect, useRef, useState } from "react";

import { ApiError, send, type Schemas } from "../../api/client";
import { Copy } from "../../parts/copy";
import { Field } from "../../parts/fields";
import { Submit, useSubmit } from "../../parts/form";
import { Qr } from "../../parts/qr";
import { Trouble } from "../../parts/states";

type Enrolment = Schemas["TotpEnrolment"];

/** Enrols an authenticator app: shows its secret, and has it confirmed with a code. */
export function Totp({
  done,
  begun,
  isPrimary = false,
}: {
  done: (codes: readonly string[]) => void;
  /** Told when there is a secret. */
  begun?: () => void;
  isPrimary?: boolean;
}) {
  const [enrolment, setEnrolment] = useState<Enrolment | null>(null);
  const begin = useSubmit(async () => {
    setEnrolment(await send("post", "/api/v1/account/totp"));
    begun?.();
  });
  if (enrolment) return <Confirm enrolment={enrolment} done={done} />;
  return (
    <form onSubmit={begin.submit} className="step">
      {begin.error ? <Trouble error={begin.error} /> : null}
      <Submit form={begin} name="Use an authenticator app" busy="Making a secret …" isPrimary={isPrimary} />
    </form>
  );
}

function Confirm({ enrolment, done }: { enrolment: Enrolment; done: (codes: readonly string[]) => void }) {
  const [code, setCode] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const form = useSubmit(async () => {
    const confirmed = await send("post", "/api/v1/account/totp/confirm", { body: { code: code.replace(/\s/g, "") } });
    done(confirmed.recovery_codes);
  });
  const isWrong = form.error instanceof ApiError && (form.error.status === 403 || form.error.status === 422);
  return (
    <form onSubmit={form.submit} className="step">
      <h2 ref={heading} tabIndex={-1}>
        Add it to your authenticator app
      </h2>
      <p>Scan this with the app, or type the secret into it. Both are shown now and never again.</p>
      <Qr text={enrolment.uri} label="The secret as a QR code; the same as the text below" />
      <p className="secret">
        <code>{enrolment.secret.match(/.{1,4}/g)?.join(" ")}</code>
      </p>
      <div className="head-acts">
        <Copy text={enrolment.secret} name="Copy the secret" />
      </div>
      <Field
        label="The six digits that it shows now"
        value={code}
        onChange={setCode}
        autoComplete="one-time-code"
        inputMode="numeric"
        maxLength={7}
        isRequired
      />
      {form.error ? (
        <Trouble
          error={form.error}
          todo={isWrong ? "Take the digits that it shows now; if they stay wrong, set the clocks of the phone and the server right." : undefined}
        />
      ) : null}
      <Submit form={form} name="Confirm" busy="Confirming …" />
    </form>
  );
}
