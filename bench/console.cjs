// How soon a browser that was never here has the console: prints one line of JSON a run. Needs playwright-core
// and chromium. `node console.cjs URL RUNS`
const { chromium } = require("playwright-core");

const [url, runs] = process.argv.slice(2);
// A slow laptop at a slow line: a quarter of this machine, 10 Mbit/s, 40 ms there and back.
const SLOWER = 4;
const LINE = { offline: false, downloadThroughput: 10e6 / 8, uploadThroughput: 10e6 / 8, latency: 40 };

async function once(browser, slow) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  if (slow) {
    await session.send("Network.emulateNetworkConditions", LINE);
    await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  }
  let bytes = 0;
  session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
  const started = performance.now();
  await page.goto(url, { waitUntil: "commit" });
  const field = page.getByLabel("Account", { exact: true }).last();
  await field.waitFor();
  // It is there for its person when what they type is there.
  await field.fill("anna");
  await page.waitForFunction(() => [...document.querySelectorAll("input")].some((input) => input.value === "anna"));
  const ms = performance.now() - started;
  await page.waitForLoadState("networkidle");
  await context.close();
  return { ms, bytes };
}

(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", "--disable-gpu"] });
  await once(browser, false);
  for (let run = 0; run < Number(runs); run += 1) {
    console.log(JSON.stringify({ fast: await once(browser, false), slow: await once(browser, true) }));
  }
  await browser.close();
})();
