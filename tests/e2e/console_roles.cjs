// Scenarios about who may what: roles of one's own, teams, second persons, the log of access and its reviews.
const { chromium } = require("playwright-core");

module.exports = ({ task, ARGUMENTS, PATIENCE, serveFrom, signIn, goTo, settled, heading, say, press, look, complaints }) => {
  const dialog = (page) => page.getByRole("dialog");
  const confirm = async (page, name) => {
    await dialog(page).getByRole("button", { name, exact: true }).click();
    await dialog(page).waitFor({ state: "detached" });
  };

  /** Signs in with an account and, where it has one, the code of its second factor. */
  async function enterAs(page, { account, password, code }) {
    await page.goto(task.url);
    await page.getByLabel("Account", { exact: true }).last().fill(account);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.keyboard.press("Enter");
    if (code) {
      await page.getByLabel("Code of your second factor").waitFor();
      await page.keyboard.type(code);
      await page.keyboard.press("Enter");
    }
    await heading(page, "Overview");
    await settled(page);
  }

  /** Somebody else, at a browser of their own. */
  async function elsewhere(who, act) {
    const browser = await chromium.launch({ executablePath: task.chromium, args: ARGUMENTS });
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
      context.setDefaultTimeout(PATIENCE);
      if (task.dist) await serveFrom(task.dist, context);
      const page = await context.newPage();
      page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
      await enterAs(page, who);
      return await act(page);
    } finally {
      await browser.close();
    }
  }

  return {
    /** Writes a role, with a mistake first, and gives it to an account on the devices of a site, and to a team. */
    async roles(page) {
      await signIn(page);
      await goTo(page, "/people?tab=teams");
      const looks = { "no teams": await look(page, "people-no-teams") };
      await goTo(page, "/people?tab=roles");
      looks.list = await look(page, "people-roles");
      await page.getByRole("link", { name: "operator" }).click();
      await heading(page, "operator");
      await settled(page);
      looks.one = await look(page, "people-role");
      const coloured = await page.locator(".cedar-keyword").allInnerTexts();
      await press(page, "Copy it to a role of your own");
      await page.getByLabel("Name", { exact: true }).fill(task.role);
      const copied = await page.getByLabel("Cedar", { exact: true }).inputValue();
      await page.getByLabel("What it is for").fill("Reads devices and quarantines them");
      await page.getByLabel("Cedar", { exact: true }).fill(task.wrong);
      await press(page, "Make the role");
      await dialog(page).getByRole("button", { name: "Make the role" }).click();
      await dialog(page).getByRole("alert").waitFor();
      await page.keyboard.press("Escape");
      const line = page.locator(".cedar-line[data-wrong]");
      await line.waitFor();
      const wrong = { number: await line.evaluate((one) => [...one.parentElement.children].indexOf(one) + 1), text: await line.innerText() };
      looks.wrong = await look(page, "people-role-wrong");
      // The problem leads to its line.
      await page.getByRole("button", { name: /^Line / }).first().click();
      const picked = await page.getByLabel("Cedar", { exact: true }).evaluate((field) => field.value.slice(field.selectionStart, field.selectionEnd));
      await page.getByLabel("Cedar", { exact: true }).fill(task.right);
      await press(page, "Make the role");
      await dialog(page).getByRole("button", { name: "Make the role" }).click();
      await heading(page, task.role);
      await say(page, "Nobody has it");
      await goTo(page, `/people/${task.account}`);
      await settled(page);
      await press(page, "Change the roles");
      await dialog(page).waitFor();
      await dialog(page).getByRole("button", { name: "Add a role" }).click();
      const second = dialog(page).getByRole("group", { name: "Role 2" });
      await second.getByLabel("Role", { exact: true }).selectOption(task.role);
      await second.getByLabel("Where").selectOption("label");
      await second.getByLabel("Label", { exact: true }).fill("site");
      await second.getByLabel("Its value").fill("berlin");
      await second.getByLabel(/^Until/).fill("2099-01-31T18:00");
      looks.assign = await look(page, "people-assign");
      await confirm(page, "Change the roles");
      await page.locator(".facts", { hasText: `${task.role} on site=berlin` }).waitFor();
      await goTo(page, "/people?tab=teams");
      await press(page, "Make a team");
      await dialog(page).waitFor();
      await page.keyboard.type("berlin");
      await dialog(page).getByLabel("Members").fill(task.account);
      await dialog(page).getByLabel("Role", { exact: true }).selectOption("auditor");
      looks.team = await look(page, "people-team");
      await confirm(page, "Make a team");
      await page.getByRole("row", { name: /berlin/ }).waitFor();
      looks.teams = await look(page, "people-teams");
      await goTo(page, `/people?tab=roles&role=${task.role}`);
      await page.getByRole("link", { name: task.account }).waitFor();
      looks.held = await look(page, "people-role-held");
      return { coloured, copied, wrong, picked, looks };
    },

    /** Applies a policy, which waits for a second person; when they have approved it, it is done by itself. */
    async eyes(page) {
      await enterAs(page, task.one);
      await goTo(page, "/requests");
      const looks = { empty: await look(page, "requests-empty") };
      await goTo(page, "/policy");
      const field = page.getByLabel(/^Cedar/);
      const before = await field.inputValue();
      await field.fill(`${before}\npermit (principal, action, resource) when { contxt.hour > 3 };\n`);
      await press(page, "Check");
      await page.locator(".cedar-line[data-wrong]").waitFor();
      looks.wrong = await look(page, "policy-wrong");
      await field.fill(`${before}\n// ${task.mark}\n`);
      await press(page, "Run the tests");
      await say(page, /tests passed/);
      looks.tests = await look(page, "policy-tests");
      await press(page, "Apply");
      await dialog(page).getByLabel("Reason").fill("a mark");
      await confirm(page, "Apply");
      const waiting = page.getByRole("status", { name: "Waiting for a second person" });
      await waiting.waitFor();
      looks.waiting = await look(page, "act-waiting");
      await goTo(page, "/requests");
      await say(page, "Somebody else must decide this; it is yours.");
      looks.mine = await look(page, "requests-mine");
      const shown = await elsewhere(task.two, async (other) => {
        await other.getByRole("link", { name: "An act waits for a second person" }).click();
        await other.getByRole("heading", { name: "policy.apply" }).waitFor();
        const body = await other.locator(".body").first().innerText();
        looks.theirs = await look(other, "requests");
        await press(other, "Approve");
        await confirm(other, "Approve");
        await say(other, /can do it now/);
        return body;
      });
      await say(page, /is in force\./);
      await waiting.waitFor({ state: "detached" });
      await goTo(page, "/policy?tab=versions");
      await settled(page);
      return { shown, looks };
    },

    /** Asks for a role, for a time. */
    async ask(page) {
      await enterAs(page, task.who);
      const offered = await page.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
      await goTo(page, "/requests?tab=roles");
      const looks = { empty: await look(page, "elevations-empty") };
      await press(page, "Ask for a role");
      await dialog(page).waitFor();
      await dialog(page).getByRole("combobox", { name: /^Role/ }).selectOption("operator");
      await say(page, /runs the fleet/);
      await dialog(page).getByLabel("For how many minutes").fill("15");
      await dialog(page).getByLabel("Reason").fill("the gate is down");
      looks.ask = await look(page, "elevation-ask");
      await confirm(page, "Ask for a role");
      await page.getByRole("row", { name: /the gate is down/ }).waitFor();
      await elsewhere(task.two, async (other) => {
        await goTo(other, "/requests?tab=roles");
        await other.getByRole("row", { name: /the gate is down/ }).waitFor();
        looks.theirs = await look(other, "elevations");
        await press(other, "Approve");
        await confirm(other, "Approve");
        await say(other, /is operator for 15 minutes/);
      });
      await page.locator(".tag", { hasText: "In force" }).waitFor();
      return { offered, looks };
    },

    /** Looks at who did what and who may what, and signs it. */
    async review(page) {
      await enterAs(page, task.who);
      await goTo(page, "/people");
      const tabs = await page.getByRole("tab").allInnerTexts();
      const looks = { log: await look(page, "access-log") };
      await page.getByLabel("Account or token").fill(task.seen);
      await page.getByLabel("Outcome").selectOption("denied");
      await press(page, "Show");
      await page.getByRole("row", { name: /role\.create/ }).waitFor();
      const denied = await page.getByRole("row", { name: /role\.create/ }).innerText();
      await goTo(page, "/people?tab=access&subject=nobody-of-that-name");
      looks.none = await look(page, "access-log-none");
      await goTo(page, "/people?tab=review");
      await say(page, "Nobody has signed one yet");
      await page.getByText(/^auditor: used/).first().click();
      const token = page.locator("details", { hasText: /^ci: / });
      await token.locator("summary").click();
      const ofToken = await token.innerText();
      looks.review = await look(page, "access-review");
      await press(page, "Sign it");
      await dialog(page).getByLabel(/^Reason/).fill("third quarter");
      await confirm(page, "Sign it");
      await page.getByRole("row", { name: /third quarter/ }).waitFor();
      looks.signed = await look(page, "access-review-signed");
      return { tabs, denied, ofToken, looks };
    },
  };
};
