import { Button } from "react-aria-components";

import { Copy } from "../../parts/copy";
import { Field } from "../../parts/fields";

const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

/** Six groups of four letters that nobody mistakes: 119 bits. */
function made(): string {
  const letters: string[] = [];
  while (letters.length < 24) {
    // What would make some letters more likely than others is drawn again.
    for (const byte of crypto.getRandomValues(new Uint8Array(48))) {
      if (byte < 256 - (256 % LETTERS.length)) letters.push(LETTERS.charAt(byte % LETTERS.length));
    }
  }
  return letters.slice(0, 24).join("").replace(/(.{4})(?=.)/g, "$1-");
}

/** A password that somebody is given, and must change at the first sign-in. */
export function FirstPassword({ value, onChange }: { value: string; onChange: (password: string) => void }) {
  return (
    <>
      <Field
        label="First password"
        value={value}
        onChange={onChange}
        hint="Give it to them by another way than e-mail; they must change it when they sign in."
        maxLength={256}
        autoComplete="off"
        spellCheck="false"
        isRequired
      />
      <div className="head-acts">
        <Button className="button" onPress={() => onChange(made())}>
          Make one
        </Button>
        {value && <Copy text={value} name="Copy it" />}
      </div>
    </>
  );
}
