// Passkeys: the browser speaks to the authenticator, the server says what it may ask and judges the answer.
import { ApiError, send, type Schemas } from "./client";

interface Options {
  publicKey: PublicKeyCredentialCreationOptionsJSON & PublicKeyCredentialRequestOptionsJSON;
}

export const hasPasskeys = typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;

/** What a browser says when somebody closes its window, or an authenticator is not there, in words. */
function inWords(error: unknown, refusal: string): unknown {
  if (!(error instanceof DOMException)) return error;
  switch (error.name) {
    case "NotAllowedError":
    case "AbortError":
      return new ApiError(422, refusal);
    case "InvalidStateError":
      return new ApiError(422, "this authenticator already has a passkey of yours: use another one");
    case "SecurityError":
      return new ApiError(422, `passkeys of this server are not for ${location.host}: open the console by the name in accounts.origins`);
    default:
      return error;
  }
}

/** Has an authenticator make a passkey for who is signed in. */
export async function enrolPasskey(name: string): Promise<Schemas["PasskeyEnrolled"]> {
  const { ceremony, options } = await send("post", "/api/v1/account/passkeys/begin");
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON((options as unknown as Options).publicKey);
  let made: Credential | null;
  try {
    made = await navigator.credentials.create({ publicKey });
  } catch (error) {
    throw inWords(error, "no passkey was made: the browser was told to stop, or it took too long");
  }
  const credential = (made as PublicKeyCredential).toJSON() as Record<string, never>;
  return send("post", "/api/v1/account/passkeys", { body: { ceremony, name, credential } });
}

/** What the server wants shown to let somebody in, and what an authenticator shows. */
export async function showPasskey(stop: AbortSignal, isQuiet: boolean): Promise<{ ceremony: string; credential: Record<string, never> }> {
  const { ceremony, options } = await send("post", "/api/v1/session/passkey/begin", { body: {} });
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON((options as unknown as Options).publicKey);
  try {
    const shown = await navigator.credentials.get({
      publicKey,
      signal: stop,
      ...(isQuiet ? { mediation: "conditional" as const } : {}),
    });
    return { ceremony, credential: (shown as PublicKeyCredential).toJSON() as Record<string, never> };
  } catch (error) {
    throw inWords(error, "no passkey was used: the browser found none, or was told to stop");
  }
}
