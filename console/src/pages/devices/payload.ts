// What is in a message, as text that can do no harm: bytes of a device are hostile until proven dull.

export interface Payload {
  form: "JSON" | "text" | "hex" | "empty";
  text: string;
}

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
/** Characters that are not seen, or that turn what stands around them about. */
const HIDDEN = /[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The bytes of a payload in base64, in the form that shows the most. */
export function readPayload(base64: string): Payload {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  if (bytes.length === 0) return { form: "empty", text: "" };
  const text = asText(bytes);
  if (text === null) return { form: "hex", text: hex(bytes) };
  const json = asJson(text);
  return json === null ? { form: "text", text: visible(text) } : { form: "JSON", text: visible(json) };
}

function asText(bytes: Uint8Array): string | null {
  try {
    // What was cut off in the middle of a character ends before it.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    return CONTROL.test(text.replaceAll("\r\n", "\n")) ? null : text;
  } catch {
    return null;
  }
}

function asJson(text: string): string | null {
  if (!/^\s*[{[]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

function visible(text: string): string {
  return text.replace(HIDDEN, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function hex(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const lines: string[] = [];
  for (let at = 0; at < digits.length; at += 16) lines.push(digits.slice(at, at + 16).join(" "));
  return lines.join("\n");
}
