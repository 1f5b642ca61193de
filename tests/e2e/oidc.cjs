// A real provider of OpenID Connect: oidc-provider over TLS. Reads how it is set up as JSON from its first argument; who people
// are stands in a file that it reads anew for each token, so that a test can change it. Prints a line when it listens.
const fs = require("fs");
const https = require("https");
const { Provider } = require("oidc-provider");

const task = JSON.parse(process.argv[2]);
const people = () => JSON.parse(fs.readFileSync(task.people, "utf8"));

const provider = new Provider(task.issuer, {
  clients: [
    {
      client_id: task.client,
      client_secret: task.secret,
      redirect_uris: [task.redirect],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  // Its own way is to say in the ID token who somebody is, and the rest at userinfo.
  conformIdTokenClaims: task.isTerse,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people()[id] }) }),
  pkce: { required: () => true },
  cookies: { keys: ["for the test alone"] },
  features: { devInteractions: { enabled: true } },
});

const tls = { key: fs.readFileSync(task.key), cert: fs.readFileSync(task.certificate) };
https.createServer(tls, provider.callback()).listen(task.port, "127.0.0.1", () => console.log("listens"));
