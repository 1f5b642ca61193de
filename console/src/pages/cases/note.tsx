import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { newKey, send } from "../../api/client";
import { Field } from "../../parts/fields";
import { Trouble } from "../../parts/states";

export function Note({ id }: { id: string }) {
  const [text, setText] = useState("");
  const [key, setKey] = useState(newKey);
  const queries = useQueryClient();
  const noting = useMutation({
    mutationFn: () => send("post", "/api/v1/cases/{id}/note", { at: { id }, body: { text: text.trim() }, key }),
    onSuccess: () => {
      setText("");
      setKey(newKey());
      void queries.invalidateQueries({ queryKey: ["case", id] });
    },
  });
  return (
    <form
      className="note-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() && !noting.isPending) noting.mutate();
      }}
    >
      <Field label="Note" value={text} onChange={setText} maxLength={4000} lines={2} />
      <Button type="submit" className="button" isDisabled={!text.trim()} isPending={noting.isPending}>
        Add the note
      </Button>
      {noting.isError && <Trouble error={noting.error} />}
    </form>
  );
}
