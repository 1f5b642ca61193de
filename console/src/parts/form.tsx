// A form that does one thing at a time, and keeps what went wrong.
import { useState, type FormEvent } from "react";

import { useWait } from "./states";

export function useSubmit(act: () => Promise<void>) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const wait = useWait(error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isBusy || wait > 0) return;
    setBusy(true);
    setError(null);
    act()
      .catch(setError)
      .finally(() => setBusy(false));
  };
  return { isBusy, error, wait, submit };
}

/** The browser's own button: a label that is announced must not be gone with its page a moment later. */
export function Submit({
  form,
  name,
  busy,
  isPrimary = true,
}: {
  form: { isBusy: boolean; wait: number };
  name: string;
  busy: string;
  isPrimary?: boolean;
}) {
  const isHeld = form.isBusy || form.wait > 0;
  return (
    <button
      type="submit"
      className={isPrimary ? "button primary wide" : "button"}
      aria-disabled={isHeld}
      data-pending={form.isBusy || undefined}
    >
      {form.isBusy ? busy : name}
    </button>
  );
}
