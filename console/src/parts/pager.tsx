// Lists come in parts. One way forward and one back, as the API gives them: the parts behind are remembered.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { Icon } from "./icon";

interface Part<T> {
  readonly items: readonly T[];
  readonly next?: string | null;
}

/** A list whose parts are read one at a time. `name` and `filter` say which list; a new filter begins anew. */
export function useParts<T>(
  name: string,
  filter: Record<string, unknown>,
  read: (after: string | undefined, signal: AbortSignal) => Promise<Part<T>>,
  every = 10_000,
) {
  const which = JSON.stringify(filter);
  const [path, setPath] = useState<{ which: string; after: readonly string[] }>({ which, after: [] });
  const after = path.which === which ? path.after : [];
  const at = after.at(-1);
  const query = useQuery({
    queryKey: [name, which, at ?? ""],
    queryFn: ({ signal }) => read(at, signal),
    refetchInterval: every,
    placeholderData: keepPreviousData,
  });
  const next = query.data?.next ?? null;
  return {
    query,
    number: after.length + 1,
    forward: next && !query.isPlaceholderData ? () => setPath({ which, after: [...after, next] }) : null,
    back: after.length > 0 ? () => setPath({ which, after: after.slice(0, -1) }) : null,
  };
}

/** What a pager turns. */
export type Parts<T> = ReturnType<typeof useParts<T>>;

export function Pager({ parts }: { parts: Pick<Parts<unknown>, "number" | "forward" | "back"> }) {
  const { number, forward, back } = parts;
  if (!forward && !back) return null;
  return (
    <nav className="pager" aria-label="Parts of the list">
      <Button className="button" isDisabled={!back} onPress={() => back?.()}>
        <Icon name="back" />
        Back
      </Button>
      <span className="quiet">Part {number}</span>
      <Button className="button" isDisabled={!forward} onPress={() => forward?.()}>
        Next
        <Icon name="next" />
      </Button>
    </nav>
  );
}
