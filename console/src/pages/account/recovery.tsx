import { useQuery, useQueryClient } from "@tanstack/react-query";

import { get, send } from "../../api/client";
import { Submit, useSubmit } from "../../parts/form";
import { Loaded, Trouble } from "../../parts/states";
import { many, Tag } from "../../parts/tags";

/** So few are left that new ones are due. */
const FEW = 3;

/** How many recovery codes are left, and new ones. */
export function RecoveryCodes({ done }: { done: (codes: readonly string[]) => void }) {
  const queries = useQueryClient();
  const codes = useQuery({
    queryKey: ["recovery-codes"],
    queryFn: ({ signal }) => get("/api/v1/account/recovery-codes", { signal }),
    refetchInterval: 60_000,
  });
  const renew = useSubmit(async () => {
    const made = await send("post", "/api/v1/account/recovery-codes");
    void queries.invalidateQueries({ queryKey: ["recovery-codes"] });
    done(made.recovery_codes);
  });
  return (
    <section className="panel" aria-labelledby="recovery">
      <div className="panel-head">
        <h2 id="recovery">Recovery codes</h2>
      </div>
      <Loaded query={codes} what="Counting recovery codes">
        {({ left, made }) => (
          <form onSubmit={renew.submit} className="step">
            {made === 0 ? (
              <p className="quiet">They come with your first second factor, and let you in when it is lost.</p>
            ) : (
              <p>
                <Tag tone={left === 0 ? "bad" : left <= FEW ? "warn" : "good"}>{`${left} of ${made} left`}</Tag>{" "}
                {left === 0
                  ? "If you lose your second factor now, only an owner can let you in."
                  : `${many(left, "code")} can stand in for your second factor, once each.`}
              </p>
            )}
            {renew.error ? (
              <Trouble error={renew.error} todo="A session of more than an hour must sign in anew first." />
            ) : null}
            {made > 0 && (
              <>
                <p className="quiet">New codes put those from before out of use.</p>
                <Submit form={renew} name="Make new recovery codes" busy="Making codes …" />
              </>
            )}
          </form>
        )}
      </Loaded>
    </section>
  );
}
