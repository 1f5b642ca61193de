// A person at the console: Chromium, driven by keyboard. Reads what to do as JSON from standard input and
// prints what it saw as JSON.
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { chromium } = require("playwright-core");

const ARGUMENTS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const PATIENCE = 20_000;
const task = JSON.parse(fs.readFileSync(0, "utf8"));
const complaints = [];

async function main() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "palisade-console-"));
  // A page whose certificate was waved through has no passkeys: the browser is told which key to trust.
  const trusted = task.spki ? [`--ignore-certificate-errors-spki-list=${task.spki}`] : [];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: task.chromium, args: [...ARGUMENTS, ...trusted], ignoreHTTPSErrors: !task.spki, viewport: { width: 1280, height: 900 },
  });
  context.setDefaultTimeout(PATIENCE);
  const page = context.pages()[0] ?? (await context.newPage());
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // What the server answers is looked at by itself: a browser complains of every answer from 400 on.
    const isAnswer = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !isAnswer) complaints.push(message.text());
  });
  if (task.dist) await serveFrom(task.dist, context);
  try {
    const seen = await scenarios[task.scenario](page);
    return { ...seen, complaints };
  } catch (error) {
    if (task.shots) await page.screenshot({ path: path.join(task.shots, "failed.png") }).catch(() => {});
    throw error;
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

const KINDS = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** The console of a directory in place of the embedded one, under the server's own headers: for whoever works on it. */
async function serveFrom(dist, context) {
  await context.route((url) => !url.pathname.startsWith("/api/"), async (route) => {
    const response = await route.fetch({ url: task.url });
    const name = new URL(route.request().url()).pathname;
    const file = path.join(dist, path.extname(name) in KINDS ? name : "index.html");
    const headers = { ...response.headers(), "content-type": KINDS[path.extname(file)] };
    delete headers["content-encoding"];
    delete headers["content-length"];
    await route.fulfill({ status: 200, headers, body: fs.readFileSync(file) });
  });
}

// --- steps ---

/** TOTP (RFC 6238), as an authenticator app makes it. */
function totp(secret, ahead = 0) {
  const bits = [...secret.replace(/[\s=]/g, "")].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"));
  const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const mac = crypto.createHmac("sha1", key).update(step).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** Fills a field as somebody does who tabs to it. */
async function type(page, label, text, most) {
  await tabTo(page, label, most);
  await page.keyboard.type(text);
}

async function press(page, name) {
  await tabTo(page, name);
  await page.keyboard.press("Enter");
}

const heading = (page, name) => page.getByRole("heading", { name, exact: true }).first().waitFor();

const shot = (page, name) => page.screenshot({ path: path.join(task.shots, `${name}.png`), fullPage: true });

/** Presses Tab until what has the focus has this name, as somebody without a mouse does. */
async function tabTo(page, name, most = 80) {
  for (let pressed = 0; pressed < most; pressed += 1) {
    await page.keyboard.press("Tab");
    const focused = page.locator(":focus");
    if ((await focused.count()) === 0) continue;
    const found = await focused.evaluate((element) => {
      const label = element.labels?.[0]?.textContent;
      const by = element.getAttribute("aria-labelledby");
      const named = by ? by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ") : null;
      return element.getAttribute("aria-label") ?? label ?? named ?? element.textContent;
    });
    if (found.trim() === name) return;
  }
  throw new Error(`no ${name} within ${most} tabs`);
}

async function signIn(page) {
  await page.goto(task.url);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  // The field of that name takes the focus when it is drawn, sooner or later: the tab is meant.
  await page.getByRole("tab", { name: "Account" }).focus();
  await page.keyboard.press("ArrowRight");
  // The field comes with the panel, and a loaded machine draws it a moment later.
  await page.getByRole("tabpanel", { name: "API token" }).locator("input").first().waitFor();
  await tabTo(page, "API token", 8);
  await page.keyboard.type(task.token);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
}

/** Goes to a place without loading the page anew, which would forget the token. */
async function goTo(page, place) {
  await page.evaluate((place) => {
    history.pushState(null, "", place);
    dispatchEvent(new PopStateEvent("popstate"));
  }, place);
  await settled(page);
}

async function settled(page) {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".waiting").length === 0);
  // Colours that are on their way to others are neither.
  await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))));
}

/** Waits until the page is drawn as it was just told to be. */
const painted = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** What axe finds. A page that is being painted in other colours has some of both: it is looked at again. */
const seeByRule = async (page, axe) => {
  for (let looks = 1; ; looks += 1) {
    await painted(page);
    await page.evaluate(axe);
    // What the library says aloud is gone from it seconds after; what it was about may be gone before.
    const report = await page.evaluate(() => window.axe.run({ exclude: [["[data-live-announcer]"]] }, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    if (report.violations.length === 0 || looks === 3) return report;
  }
};

/** What the whole page says. */
const say = (page, text) => page.getByText(text).first().waitFor();

/** Signs in with an account. */
async function enter(page) {
  await page.goto(task.url);
  await page.getByLabel("Account", { exact: true }).last().fill(task.account);
  await page.getByLabel("Password", { exact: true }).fill(task.password);
  await page.keyboard.press("Enter");
}

const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** What axe and the window's edge say of a page, light and dark, wide and narrow; and a picture of each. */
async function look(page, name) {
  const found = {};
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: width === 360 ? 780 : 900 });
      const report = await seeByRule(page, AXE);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      found[`${name} ${scheme} ${width}`] = {
        violations: report.violations.map((one) =>
          `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`),
        overflow: Math.max(0, overflow),
      };
      await shot(page, `${name}-${scheme}-${width}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  return found;
}

/** Shows the passkey to a page of another origin of the same host, and what it signs to the server: what that says. */
async function fromElsewhere(page, credential) {
  const request = page.context().request;
  const ask = (path, data) => request.post(new URL(`/api/v1/session/passkey${path}`, task.url).href, { data });
  const { ceremony, options } = await (await ask("/begin", {})).json();
  const there = await page.context().newPage();
  const browser = await page.context().newCDPSession(there);
  await browser.send("WebAuthn.enable");
  // Whatever that origin serves, the page is of it.
  await there.route(task.elsewhere, (route) => route.fulfill({ contentType: "text/html", body: "<title>elsewhere</title>" }));
  await there.goto(task.elsewhere);
  const { authenticatorId } = await browser.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await browser.send("WebAuthn.addCredential", { authenticatorId, credential });
  const shown = await there.evaluate(async (options) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  }, options);
  const answer = await ask("", { ceremony, credential: shown });
  await there.close();
  return answer.status();
}

/** Says at the provider who one is, and that this server may know. */
async function atProvider(page, login) {
  await page.locator("input[name=login]").fill(login);
  await page.locator("input[name=password]").fill("whatever");
  await page.keyboard.press("Enter");
  await page.locator("input[name=prompt][value=consent]").waitFor({ state: "attached" });
  await page.locator("button[type=submit]").click();
}

const who = (page) => page.evaluate(async () => (await fetch("/api/v1/session")).json());

const status = (page) => page.evaluate(async () => (await fetch("/api/v1/session")).status);

async function signOut(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Sign in");
}

const withProvider = (page) => page.getByRole("link", { name: "Sign in with Corp" }).click();

// --- scenarios ---

const scenarios = {
  /** Finds a device that is connected, quarantines it, sees its session close, and takes it back; by keyboard. */
  async quarantine(page) {
    await signIn(page);
    await tabTo(page, "Devices");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Devices", level: 1 }).waitFor();
    await settled(page);
    await tabTo(page, "Device id contains");
    // In the other case, for nobody remembers it.
    await page.keyboard.type(task.device.toUpperCase());
    await page.waitForURL((url) => url.searchParams.get("search") === task.device.toUpperCase());
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    await tabTo(page, task.device);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: task.device, level: 1 }).waitFor();
    await page.getByRole("cell", { name: "Connected" }).waitFor();
    await tabTo(page, "Quarantine");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("speaks for other devices");
    await page.screenshot({ path: path.join(task.shots, "quarantine-dialog.png") });
    const before = Date.now();
    await page.keyboard.press("Enter");
    await say(page, /is in quarantine; 1 session closed/);
    await say(page, "No session is open");
    const closed = Date.now() - before;
    await page.screenshot({ path: path.join(task.shots, "quarantined.png") });
    await tabTo(page, "Undo");
    await page.keyboard.press("Enter");
    await say(page, /is released again/);
    await page.locator(".head .tag", { hasText: "Active" }).waitFor();
    return { closed };
  },

  /** Quarantines all that match a filter, releases those that are picked, and keeps the filter as a view. */
  async bulk(page) {
    await signIn(page);
    await goTo(page, `/devices?label=${encodeURIComponent(task.label)}`);
    await page.waitForFunction((count) => document.querySelectorAll("tbody tr").length === count, task.count);
    const looks = { list: await look(page, "devices-bulk") };
    await page.getByRole("button", { name: "Quarantine …" }).click();
    await page.getByRole("dialog").getByText(`${task.count} devices`, { exact: true }).waitFor();
    looks.preview = await look(page, "devices-bulk-preview");
    await page.getByLabel("Reason").fill("a bad batch");
    await page.keyboard.press("Enter");
    await say(page, `${task.count} of ${task.count} done.`);
    const outcomes = await page.getByRole("list", { name: "Outcomes" }).getByRole("listitem").allInnerTexts();
    looks.outcome = await look(page, "devices-bulk-outcome");
    await page.getByRole("button", { name: "Close" }).last().click();
    await page.getByRole("checkbox", { name: `Pick ${task.picked}` }).check();
    await say(page, "1 device picked");
    await page.getByRole("button", { name: "Release …" }).click();
    await page.getByLabel("Reason").fill("was not of it");
    await page.keyboard.press("Enter");
    await say(page, "1 of 1 done.");
    await page.getByRole("button", { name: "Close" }).last().click();
    await page.getByRole("button", { name: "Keep this view" }).click();
    await page.getByLabel("Name of the view").fill("The bad batch");
    await page.keyboard.press("Enter");
    await say(page, "is kept in this browser");
    await goTo(page, "/devices");
    await page.getByRole("combobox", { name: "View" }).selectOption("The bad batch");
    await page.waitForURL((url) => url.searchParams.get("label") === task.label);
    const stored = await page.evaluate(() => JSON.stringify(localStorage));
    return { outcomes, stored, looks };
  },

  /** Sees what is usual for a device: the band, what was measured, and the same as a table. */
  async baseline(page) {
    await signIn(page);
    await goTo(page, `/devices/${task.device}?tab=baseline`);
    const panel = page.getByRole("region", { name: "Messages sent" });
    await panel.locator("canvas").waitFor();
    const looks = { chart: await look(page, "baseline-chart") };
    await panel.getByText("The last datapoints as a table").click();
    const rows = await panel.getByRole("row").count();
    return { rows, usual: await panel.locator("dd").first().innerText(), looks };
  },

  /** Decides over an action that waits, and closes the case with a verdict. */
  async case(page) {
    await signIn(page);
    await tabTo(page, "Cases");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Cases", level: 1 }).waitFor();
    await settled(page);
    await page.locator(`tbody a[href$="${task.case}"]`).first().click();
    await page.getByRole("heading", { name: "Findings" }).waitFor();
    await page.getByRole("button", { name: "Approve" }).first().click();
    await page.keyboard.type("seen in the log");
    await page.keyboard.press("Enter");
    await say(page, /: (done|running)\./);
    await page.locator(".actions .tag", { hasText: "Done" }).first().waitFor();
    await page.locator(".finding-button").first().click();
    await page.getByRole("list", { name: "Evidence" }).waitFor();
    await page.screenshot({ path: path.join(task.shots, "case-evidence.png"), fullPage: true });
    await page.getByRole("button", { name: "Judge and close" }).click();
    await page.getByRole("combobox", { name: "Verdict" }).selectOption({ label: "Real: an attack or a fault" });
    await page.getByRole("dialog").getByRole("button", { name: "Judge and close" }).click();
    await say(page, "The case is closed.");
    await page.locator(".head .tag", { hasText: "Closed" }).waitFor();
    return {};
  },

  /** A server that goes away and comes back: the page says so, says how old its data are, and recovers. */
  async away(page) {
    await signIn(page);
    process.kill(task.process, "SIGSTOP");
    try {
      // Patience with one request is 15 s, and they are 5 s apart.
      await page.getByText(/What you see is \d+ (s|min) old/).first().waitFor({ timeout: 60_000 });
    } finally {
      process.kill(task.process, "SIGCONT");
    }
    await page.waitForFunction(() => document.querySelectorAll(".stale").length === 0);
    return {};
  },

  /** A token that is not one: said in words, and nothing is kept. */
  async refused(page) {
    await page.goto(task.url);
    await page.getByRole("tab", { name: "API token" }).click();
    await page.getByLabel("API token", { exact: true }).last().fill("pat_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    return { says: await page.getByRole("alert").innerText() };
  },

  /** From the set-up token to the overview, by keyboard alone; then out, and in again by code and by recovery code. */
  async first(page) {
    await page.goto(task.url);
    await heading(page, "Sign in");
    await tabTo(page, "Account", 5);
    await page.keyboard.press("ArrowLeft");
    await type(page, "Set-up token", task.setup, 5);
    await type(page, "Name of the first administrator", task.account, 5);
    await type(page, "New password", task.password, 5);
    await page.keyboard.press("Enter");
    await heading(page, "Add a second factor");
    await press(page, "Use an authenticator app");
    await heading(page, "Add it to your authenticator app");
    await page.getByRole("img", { name: /QR code/ }).waitFor();
    const secret = await page.locator(".secret").innerText();
    const looks = { enrol: await look(page, "first-enrol") };
    await type(page, "The six digits that it shows now", "000000");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    const wrong = await page.getByRole("alert").innerText();
    await page.keyboard.press("Control+A");
    await page.keyboard.type(totp(secret));
    await page.keyboard.press("Enter");
    await heading(page, "Keep your recovery codes");
    const codes = await page.getByRole("list", { name: "Recovery codes" }).getByRole("listitem").allInnerTexts();
    looks.codes = await look(page, "first-codes");
    const [file] = await Promise.all([page.waitForEvent("download"), press(page, "Download")]);
    const kept = fs.readFileSync(await file.path(), "utf8");
    await press(page, "I have kept them");
    await heading(page, "Overview");
    await settled(page);
    looks.overview = await look(page, "first-overview");
    // A page that is loaded again is still somebody's: the cookie is.
    await page.reload();
    await heading(page, "Overview");
    const cookie = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
    const enter = async (code) => {
      await press(page, "Sign out");
      await say(page, "You are signed out.");
      await page.waitForFunction(() => document.activeElement?.autocomplete?.startsWith("username"));
      await page.keyboard.type(task.account);
      await type(page, "Password", task.password, 5);
      await page.keyboard.press("Enter");
      await page.getByLabel("Code of your second factor").waitFor();
      await page.keyboard.type(code);
      await page.keyboard.press("Enter");
    };
    await enter(totp(secret, 1));
    await heading(page, "Overview");
    await enter(codes[0]);
    await heading(page, "Overview");
    await goTo(page, "/account");
    await heading(page, "Your account");
    await settled(page);
    looks.account = await look(page, "account");
    // For what tests ask besides; a page of the server's own origin may.
    const token = await page.evaluate(async () => {
      const body = JSON.stringify({ name: "tests", scopes: ["*"] });
      const headers = { "Palisade-Request": "1", "Content-Type": "application/json" };
      return (await (await fetch("/api/v1/api-tokens", { method: "POST", headers, body })).json()).secret;
    });
    return { wrong, codes, kept, cookie, looks, secret, token };
  },

  /** The first second factor is a passkey; it signs in alone, is for this origin alone, and goes when it is removed. */
  async passkey(page) {
    const browser = await page.context().newCDPSession(page);
    await browser.send("WebAuthn.enable");
    const { authenticatorId } = await browser.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    await enter(page);
    await heading(page, "Choose your own password");
    await page.getByLabel("Password now").fill(task.password);
    await page.getByLabel("New password", { exact: true }).fill(task.next);
    await page.getByLabel("New password, again").fill(task.next);
    await page.keyboard.press("Enter");
    await heading(page, "Add a second factor");
    const looks = { choice: await look(page, "passkey-choice") };
    await press(page, "Add a passkey");
    await heading(page, "Keep your recovery codes");
    const codes = await page.getByRole("list", { name: "Recovery codes" }).getByRole("listitem").count();
    await press(page, "I have kept them");
    await heading(page, "Overview");
    await goTo(page, "/account");
    await settled(page);
    await page.getByRole("list", { name: "Passkeys" }).getByRole("listitem").waitFor();
    looks.account = await look(page, "passkey-account");
    // One authenticator, one passkey; and the last second factor of an owner stays.
    await page.getByRole("button", { name: "Add a passkey" }).click();
    const twice = await page.getByRole("alert").innerText();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    const last = await page.getByRole("dialog").getByRole("alert").innerText();
    await page.keyboard.press("Escape");
    // The browser offers it where the name is typed; a finger that always touches would take that offer at once.
    const touch = (enabled) => browser.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });
    await touch(false);
    await page.getByRole("button", { name: "Sign out" }).click();
    await say(page, "You are signed out.");
    looks.signIn = await look(page, "passkey-sign-in");
    await touch(true);
    await page.getByRole("button", { name: "Use a passkey" }).click();
    await heading(page, "Your account");
    const { credentials } = await browser.send("WebAuthn.getCredentials", { authenticatorId });
    const elsewhere = await fromElsewhere(page, credentials[0]);
    await goTo(page, "/account");
    await page.getByRole("button", { name: "Use an authenticator app" }).click();
    await heading(page, "Add it to your authenticator app");
    const secret = await page.locator(".secret").innerText();
    await page.getByLabel("The six digits that it shows now").fill(totp(secret));
    await page.keyboard.press("Enter");
    await heading(page, "Keep your recovery codes");
    await press(page, "I have kept them");
    await heading(page, "Your account");
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await say(page, "You have no passkey yet");
    await touch(false);
    await page.getByRole("button", { name: "Sign out" }).click();
    await say(page, "You are signed out.");
    await touch(true);
    await page.getByRole("button", { name: "Use a passkey" }).click();
    await page.getByRole("alert").waitFor();
    const removed = await page.getByRole("alert").innerText();
    // A browser that finds none says so.
    await browser.send("WebAuthn.clearCredentials", { authenticatorId });
    await page.goto(task.url.replace("localhost", "127.0.0.1"));
    await page.getByRole("button", { name: "Use a passkey" }).click();
    await page.getByRole("alert").waitFor();
    const foreign = await page.getByRole("alert").innerText();
    return { codes, twice, last, elsewhere, removed, foreign, looks };
  },

  /** Makes an account, changes what it may do, disables it and takes it back, ends its session. */
  async people(page) {
    await signIn(page);
    await goTo(page, "/people");
    await settled(page);
    const looks = { list: await look(page, "people") };
    await press(page, "Make an account");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type(task.account);
    await page.getByRole("dialog").getByLabel("operator").check();
    looks.dialog = await look(page, "people-new");
    await page.getByRole("button", { name: "Make one" }).click();
    const password = await page.getByLabel("First password").inputValue();
    await page.getByRole("dialog").getByRole("button", { name: "Make an account" }).click();
    await heading(page, task.account);
    await say(page, "can sign in now");
    await settled(page);
    // The new one signs in, elsewhere.
    const answer = await page.context().request.post(new URL("/api/v1/session", task.url).href, {
      data: { account: task.account, password },
    });
    await page.context().clearCookies();
    await page.getByRole("row", { name: /Password alone/ }).waitFor();
    looks.one = await look(page, "people-one");
    await page.getByRole("button", { name: "End" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End" }).click();
    await say(page, "Signed in nowhere");
    await page.getByRole("button", { name: "Change the roles" }).click();
    await page.getByRole("dialog").getByLabel("Role", { exact: true }).selectOption("auditor");
    await page.getByRole("dialog").getByRole("button", { name: "Change the roles" }).click();
    await page.locator(".facts dd", { hasText: /^auditor$/ }).waitFor();
    await page.getByRole("button", { name: "Disable" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
    await page.locator(".head .tag", { hasText: "Disabled" }).waitFor();
    await page.getByRole("button", { name: "Undo" }).first().click();
    await page.locator(".head .tag", { hasText: "First password" }).waitFor();
    await page.getByRole("button", { name: "Reset second factors" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Reset second factors" }).click();
    await say(page, "has no second factor now");
    await goTo(page, "/people?tab=roles");
    looks.roles = await look(page, "people-roles");
    await goTo(page, "/people/nobody");
    looks.nobody = await look(page, "people-nobody");
    return { status: answer.status(), password, looks };
  },

  /** A session that somebody ends elsewhere: the page says so, and goes on where it was after the sign-in. */
  async ended(page) {
    await enter(page);
    await heading(page, "Choose your own password");
    await type(page, "Password now", task.password);
    await type(page, "New password", "short", 5);
    await type(page, "New password, again", "short", 5);
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    const refused = await page.getByRole("alert").innerText();
    await page.getByLabel("New password", { exact: true }).fill(task.next);
    await page.getByLabel("New password, again").fill(task.next);
    await page.keyboard.press("Enter");
    await heading(page, "Overview");
    await goTo(page, "/cases");
    await say(page, /needs the scope/);
    const looks = { denied: await look(page, "denied") };
    await goTo(page, "/devices");
    await heading(page, "Devices");
    const offered = await page.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
    await page.evaluate(async () => {
      const own = await (await fetch("/api/v1/account/sessions")).json();
      for (const { id } of own.items) {
        await fetch(`/api/v1/account/sessions/${id}`, { method: "DELETE", headers: { "Palisade-Request": "1" } });
      }
    });
    await say(page, /Your session has ended/);
    looks.ended = await look(page, "session-ended");
    await page.getByLabel("Account", { exact: true }).last().fill(task.account);
    await page.getByLabel("Password", { exact: true }).fill(task.next);
    await page.keyboard.press("Enter");
    await heading(page, "Devices");
    return { refused, offered, looks };
  },

  /** Signs in with a provider, by keyboard; then again with other claims, which the provider says in place of the first. */
  async provider(page) {
    const claims = (mine) => fs.writeFileSync(task.people, JSON.stringify({ [task.login]: mine }));
    await page.goto(new URL("/devices?label=site%3Dberlin", task.url).href);
    await page.getByRole("link", { name: "Sign in with Corp" }).waitFor();
    const looks = { signIn: await look(page, "sign-in-provider") };
    await press(page, "Sign in with Corp");
    await atProvider(page, task.login);
    await heading(page, "Devices");
    const { pathname, search } = new URL(page.url());
    const people = [await who(page)];
    const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
    claims(task.later[0]);
    await signOut(page);
    await withProvider(page);
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    people.push(await who(page));
    claims(task.later[1]);
    await signOut(page);
    await page.goto(task.url);
    await withProvider(page);
    const refused = await page.getByRole("alert").innerText();
    looks.refused = await look(page, "sign-in-refused");
    const place = new URL(page.url());
    return { looks, place: pathname + search, who: people, kept, refused, after: await status(page), address: place.pathname + place.search };
  },

  /** Signs in with a provider that knows one, and gives nothing that counts here. */
  async outsider(page) {
    await page.goto(task.url);
    await withProvider(page);
    await atProvider(page, task.login);
    return { refused: await page.getByRole("alert").innerText(), after: await status(page) };
  },

  /** Signs in with a provider, makes a second factor here, and owes its code the next time. */
  async owing(page) {
    await page.goto(task.url);
    await withProvider(page);
    await atProvider(page, task.login);
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    const post = (path, body) => page.evaluate(async ([path, body]) => {
      const headers = { "Palisade-Request": "1", "Content-Type": "application/json" };
      return (await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body) })).json();
    }, [path, body]);
    const { secret } = await post("/api/v1/account/totp");
    await post("/api/v1/account/totp/confirm", { code: totp(secret) });
    await page.reload();
    await signOut(page);
    await withProvider(page);
    const label = "Code of your second factor";
    await page.getByLabel(label).waitFor();
    const before = await status(page);
    const looks = await look(page, "sign-in-owing");
    await page.getByLabel(label).fill("000000");
    await page.keyboard.press("Enter");
    const wrong = await page.getByRole("alert").innerText();
    // The code of this half minute was used: the next one is taken as well.
    await page.getByLabel(label).fill(totp(secret, 1));
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    return { looks: { looks }, before, wrong, name: (await who(page)).name };
  },

  /** Is refused for a name that is taken; signs in with the account of that name, links it, and signs in with the provider. */
  async linking(page) {
    await page.goto(task.url);
    await withProvider(page);
    await atProvider(page, task.login);
    const refused = await page.getByRole("alert").innerText();
    await enter(page);
    await heading(page, "Choose your own password");
    await page.getByLabel("Password now", { exact: true }).fill(task.password);
    await page.getByLabel("New password", { exact: true }).fill(task.next);
    await page.getByLabel("New password, again").fill(task.next);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    await goTo(page, "/account");
    await page.getByRole("button", { name: "Link with Corp" }).click();
    await page.getByRole("list", { name: "Links" }).getByRole("listitem").first().waitFor();
    await settled(page);
    const looks = await look(page, "account-linked");
    const linked = await page.getByRole("list", { name: "Links" }).locator("strong").allInnerTexts();
    await signOut(page);
    await withProvider(page);
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    return { refused, looks: { looks }, linked, who: await who(page) };
  },

  /** A wrong password, until the server makes one wait: said, and counted down. */
  async slowed(page) {
    await page.goto(task.url);
    await page.getByLabel("Account", { exact: true }).last().fill("nobody");
    const says = [];
    for (let tries = 0; tries < 12; tries += 1) {
      await page.getByLabel("Password", { exact: true }).fill(`wrong ${tries}`);
      await page.keyboard.press("Enter");
      await page.getByRole("alert").or(page.locator("button[data-pending]")).first().waitFor();
      await page.waitForFunction(() => !document.querySelector("button[data-pending]") && document.querySelector("[role=alert]"));
      says.push(await page.getByRole("alert").innerText());
      if (/Try again in/.test(says.at(-1))) break;
    }
    const left = () => page.locator(".trouble [aria-hidden]").innerText().then((text) => Number(/\d+/.exec(text)?.[0] ?? 0));
    const first = await left();
    const isHeld = await page.getByRole("button", { name: "Sign in" }).isDisabled();
    await page.waitForFunction((first) => Number(/\d+/.exec(document.querySelector(".trouble [aria-hidden]")?.innerText ?? "")?.[0] ?? 0) < first, first);
    return { says, isHeld };
  },

  /** Every place, light and dark, wide and narrow: what axe finds, whether it overflows, and how it looks. */
  async places(page) {
    const found = {};
    const see = async (name) => Object.assign(found, await look(page, name));
    await page.goto(task.url);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await see("sign-in");
    await signIn(page);
    const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href]);
    for (const [name, place] of Object.entries(task.places)) {
      await goTo(page, place);
      await see(name);
    }
    return { found, stored };
  },
};

const steps = { task, ARGUMENTS, PATIENCE, serveFrom, signIn, goTo, settled, heading, say, press, look, complaints };
for (const more of ["./console_roles.cjs", "./console_parts.cjs", "./console_settings.cjs", "./console_messages.cjs"]) Object.assign(scenarios, require(more)(steps));

main().then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => {
    console.error(error.stack, complaints);
    process.exit(1);
  },
);
