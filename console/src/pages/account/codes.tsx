import { useEffect, useRef } from "react";
import { Button } from "react-aria-components";

import { useMe } from "../../api/session";
import { Copy, Download } from "../../parts/copy";

/** The recovery codes, which the server shows once. */
export function Codes({ codes, done }: { codes: readonly string[]; done: () => void }) {
  const me = useMe();
  const text = `Recovery codes of ${me.name} at ${location.host}. Each works once in place of the second factor.\n\n${codes.join("\n")}\n`;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="step">
      <h2 ref={heading} tabIndex={-1}>
        Keep your recovery codes
      </h2>
      <p>
        Without your second factor, one of these lets you in, once each. They are shown now and never again: print them, or
        keep them in a password manager, not on the device that your second factor is on.
      </p>
      <ol className="codes" aria-label="Recovery codes">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ol>
      <div className="head-acts">
        <Copy text={text} name="Copy" />
        <Download text={text} file="palisade-recovery-codes.txt" name="Download" />
      </div>
      <Button className="button primary wide" onPress={done}>
        I have kept them
      </Button>
    </div>
  );
}
