// Views that somebody named: a name for a filter. They are kept in this browser; the address itself can be shared.
import { useState } from "react";

import { Act } from "../../parts/act";
import { Choice, Field } from "../../parts/fields";
import { usePlace } from "../../router";

const WHERE = "palisade.device-views";
const MOST = 30;

type Named = Readonly<Record<string, string>>;

function kept(): Named {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(WHERE) ?? "{}");
    if (typeof found !== "object" || found === null) return {};
    return Object.fromEntries(Object.entries(found).filter(([, query]) => typeof query === "string")) as Named;
  } catch {
    return {};
  }
}

export function Views() {
  const { query, go } = usePlace();
  const [views, setViews] = useState(kept);
  const [name, setName] = useState("");
  const now = query.toString();
  const names = Object.keys(views).sort();
  const current = names.find((each) => views[each] === now) ?? "";
  const keep = (next: Named) => {
    if (Object.keys(next).length === 0) localStorage.removeItem(WHERE);
    else localStorage.setItem(WHERE, JSON.stringify(next));
    setViews(next);
  };
  if (!now && names.length === 0) return null;
  return (
    <div className="views">
      {names.length > 0 && (
        <Choice
          label="View"
          value={current}
          onChange={(view) => go(view ? `/devices?${views[view] ?? ""}` : "/devices")}
          options={[{ value: "", word: now && !current ? "This filter" : "All devices" }, ...names.map((each) => ({ value: each, word: each }))]}
        />
      )}
      {now && !current && names.length < MOST && (
        <Act
          name="Keep this view"
          title="Keep this filter as a view"
          reason="none"
          act={async () => {
            const wanted = name.trim();
            if (!wanted) throw new Error("a view needs a name");
            keep({ ...views, [wanted]: now });
            setName("");
            return wanted;
          }}
          done={(kept) => ({ text: `The view ${kept} is kept in this browser.` })}
          stale={[]}
        >
          <Field label="Name of the view" value={name} onChange={setName} maxLength={40} hint="To share it, send the address of this page." isRequired autoFocus />
        </Act>
      )}
      {current && (
        <Act
          name="Forget this view"
          title={`Forget the view ${current}?`}
          reason="none"
          act={async () => {
            const { [current]: gone, ...others } = views;
            keep(others);
            return gone ?? "";
          }}
          done={(gone) => ({
            text: `The view ${current} is forgotten.`,
            undo: async () => {
              keep({ ...kept(), [current]: gone });
              return `The view ${current} is back.`;
            },
          })}
          stale={[]}
        >
          <p>Only the name goes; no device is changed.</p>
        </Act>
      )}
    </div>
  );
}
