// A provider of identities (npm's oidc-provider), for test_oidc.py.
// Usage: node oidc.cjs PORT KEY CERTIFICATE CLIENT_SECRET REDIRECT_URI
const fs = require("node:fs");
const https = require("node:https");
const { pathToFileURL } = require("node:url");

async function main() {
  const [port, key, certificate, secret, redirect] = process.argv.slice(2);
  // The package is an ES module, and these are not found by NODE_PATH.
  const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
  const issuer = `https://localhost:${port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "palisade", client_secret: secret, redirect_uris: [redirect],
      grant_types: ["authorization_code"], response_types: ["code"],
    }],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
    // Palisade reads the id token alone.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    // Whoever logs in is in the group that their name ends with: anna.staff.
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, preferred_username: sub.split(".")[0], groups: sub.split(".").slice(1) }),
    }),
    // Nobody is asked whether this server may know who they are.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope("openid profile");
      await grant.save();
      return grant;
    },
  });
  const options = { key: fs.readFileSync(key), cert: fs.readFileSync(certificate) };
  https.createServer(options, provider.callback()).listen(Number(port), "127.0.0.1");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
