// A person at the console: Chromium, driven by keyboard. Reads what to do as JSON from standard input and
// prints what it saw as JSON.
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
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: task.chromium, args: ARGUMENTS, ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 },
  });
  context.setDefaultTimeout(PATIENCE);
  const page = context.pages()[0] ?? (await context.newPage());
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // What the server answers is looked at by itself: a browser complains of every answer from 400 on.
    const isAnswer = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !isAnswer) complaints.push(message.text());
  });
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

// --- steps ---

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
  await tabTo(page, "Account", 5);
  await page.keyboard.press("ArrowRight");
  await tabTo(page, "API token", 5);
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
    const report = await page.evaluate(() => window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    if (report.violations.length === 0 || looks === 3) return report;
  }
};

/** What the whole page says. */
const say = (page, text) => page.getByText(text).first().waitFor();

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

  /** Decides over an action that waits, and closes the case with a verdict. */
  async case(page) {
    await signIn(page);
    await tabTo(page, "Cases");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Cases", level: 1 }).waitFor();
    await settled(page);
    await page.locator("tbody a").first().click();
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
      await page.getByText(/What you see is \d+ (s|min) old/).first().waitFor({ timeout: 30_000 });
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

  /** Every place, light and dark, wide and narrow: what axe finds, whether it overflows, and how it looks. */
  async places(page) {
    const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
    const found = {};
    const look = async (name) => {
      for (const scheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        for (const width of [1280, 360]) {
          await page.setViewportSize({ width, height: width === 360 ? 780 : 900 });
          const report = await seeByRule(page, axe);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          found[`${name} ${scheme} ${width}`] = {
            violations: report.violations.map((one) =>
              `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`),
            overflow: Math.max(0, overflow),
          };
          await page.screenshot({ path: path.join(task.shots, `${name}-${scheme}-${width}.png`), fullPage: true });
        }
      }
      await page.setViewportSize({ width: 1280, height: 900 });
    };
    await page.goto(task.url);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await look("sign-in");
    await signIn(page);
    const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href]);
    for (const [name, place] of Object.entries(task.places)) {
      await goTo(page, place);
      await look(name);
    }
    return { found, stored };
  },
};

main().then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => {
    console.error(error.stack, complaints);
    process.exit(1);
  },
);
