// An act: what it will do, why it is done, and what came of it.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Button, Dialog, DialogTrigger, Heading, Modal, ModalOverlay } from "react-aria-components";

import { ApiError, keyWith, newKey } from "../api/client";
import { Field } from "./fields";
import { Icon, type IconName } from "./icon";
import { useNotices } from "./notices";
import { usePending } from "./pending";
import { Trouble } from "./states";

interface Props<T> {
  /** On the button, and again as the dialog's title. */
  name: string;
  icon?: IconName;
  isDangerous?: boolean;
  title: string;
  /** What will happen, before it does. */
  children: ReactNode;
  /** Whether a reason is asked for, and whether it must be given. */
  reason?: "asked" | "required" | "none";
  /** Does it. `key` stays the same when it is tried again, so that it is done once. */
  act: (reason: string, key: string) => Promise<T>;
  /** What to say of it, with the way back where there is one. */
  done: (result: T) => { text: string; undo?: () => Promise<string> };
  /** Queries that are old then. */
  stale: readonly string[];
  isPrimary?: boolean;
}

export function Act<T>(props: Props<T>) {
  const { name, icon, isDangerous = false, isPrimary = false } = props;
  const look = isDangerous ? "danger" : isPrimary ? "primary" : "";
  return (
    <DialogTrigger>
      <Button className={`button ${look}`}>
        {icon && <Icon name={icon} />}
        {name}
      </Button>
      <ModalOverlay className="veil" isDismissable>
        <Modal>
          <Dialog className="dialog">{({ close }) => <Confirm {...props} close={close} />}</Dialog>
        </Modal>
      </ModalOverlay>
    </DialogTrigger>
  );
}

function Confirm<T>({
  name,
  isDangerous = false,
  title,
  children,
  reason: asks = "asked",
  act,
  done,
  stale,
  close,
}: Props<T> & { close: () => void }) {
  const [reason, setReason] = useState("");
  const [key, setKey] = useState(newKey);
  const { say } = useNotices();
  const { wait } = usePending();
  const queries = useQueryClient();
  const refresh = () => Promise.all(stale.map((name) => queries.invalidateQueries({ queryKey: [name] })));
  const tell = (result: T) => {
    const { text, undo } = done(result);
    const takeBack = undo
      ? () => {
          undo()
            .then((text) => say(text))
            .catch((error: unknown) => say(`It could not be undone: ${String(error instanceof Error ? error.message : error)}.`))
            .finally(() => void refresh());
        }
      : undefined;
    say(text, takeBack);
    void refresh();
  };
  const doing = useMutation({
    mutationFn: () => act(reason.trim(), key),
    onSuccess: (result) => {
      close();
      tell(result);
    },
    onError: (error) => {
      if (!(error instanceof ApiError)) return;
      // Without an answer it may have been done: under the same key it is not done twice.
      if (!error.isAway) setKey(newKey());
      const approval = error.approval;
      if (!approval) return;
      wait({ id: approval, title, resume: () => act(reason.trim(), keyWith(approval)).then(tell) });
      void queries.invalidateQueries({ queryKey: ["approvals"] });
      close();
    },
  });
  const isReady = asks !== "required" || reason.trim().length > 0;
  return (
    <form
      className="dialog-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (isReady && !doing.isPending) doing.mutate();
      }}
    >
      <Heading slot="title" level={2}>
        {title}
      </Heading>
      <div>{children}</div>
      {asks !== "none" && (
        <Field
          label={asks === "required" ? "Reason" : "Reason (optional)"}
          hint="It is written into the ledger."
          value={reason}
          onChange={setReason}
          maxLength={500}
          isRequired={asks === "required"}
          autoFocus
        />
      )}
      {doing.isError && <Trouble error={doing.error} />}
      <div className="dialog-acts">
        <Button className="button" onPress={close}>
          Cancel
        </Button>
        {/* The browser's own: what is announced of it must not be gone with the dialog a moment later. */}
        <button
          type="submit"
          className={`button ${isDangerous ? "danger solid" : "primary"}`}
          aria-disabled={doing.isPending || !isReady}
          data-pending={doing.isPending || undefined}
        >
          {doing.isPending ? "Working …" : name}
        </button>
      </div>
    </form>
  );
}
