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
}

// --- scenarios ---

const scenarios = {
  /** Every place, light and dark, wide and narrow: what axe finds, whether it overflows, and how it looks. */
  async places(page) {
    const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
    const found = {};
    const look = async (name) => {
      for (const scheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        for (const width of [1280, 360]) {
          await page.setViewportSize({ width, height: width === 360 ? 780 : 900 });
          await page.evaluate(axe);
          const report = await page.evaluate(() => window.axe.run(document, {
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
          }));
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
