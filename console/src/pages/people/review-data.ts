import { useQuery } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";

export type Review = Schemas["AccessReview"];
export type Reviewed = Schemas["ReviewedAccount"];
export type Suggestion = Schemas["Suggestion"];

/** The whole review: its accounts come in parts. */
async function readReview(days: number, signal: AbortSignal): Promise<Review> {
  const items: Reviewed[] = [];
  for (let after: string | undefined; ; ) {
    const part = await get("/api/v1/access/review", { query: { days, limit: 500, ...(after ? { after } : {}) }, signal });
    items.push(...part.items);
    // What changed between two parts is not what was looked at: the digest of the last one counts.
    if (!part.next) return { ...part, items };
    after = part.next;
  }
}

export function useReview(days: number) {
  return useQuery({
    queryKey: ["access-review", days],
    queryFn: ({ signal }) => readReview(days, signal),
    refetchInterval: 60_000,
  });
}
