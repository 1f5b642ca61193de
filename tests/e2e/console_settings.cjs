// Scenarios about the server itself: its keys, its health.

module.exports = ({ task, signIn, goTo, settled, say, look }) => ({
  /** Looks at a server that does not say how it is, then does, and then at one whose response somebody switched off. */
  async health(page) {
    await signIn(page);
    // What the server does not say is not shown as good.
    const problem = JSON.stringify({ detail: "the database is away" });
    await page.route("**/api/v1/doctor", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: problem }));
    await goTo(page, "/settings");
    const health = page.getByRole("region", { name: "Health" });
    await health.getByText("The database is away.").waitFor();
    const looks = { fails: await look(page, "settings-health-fails") };
    await page.unroute("**/api/v1/doctor");
    await health.getByRole("button", { name: "Try again" }).click();
    await health.getByRole("listitem").first().waitFor();
    await settled(page);
    looks.good = await look(page, "settings-health");
    const good = await health.getByRole("listitem").allInnerTexts();
    const keys = await page.getByRole("table", { name: "Keys of the server" }).getByRole("rowheader").allInnerTexts();
    await page.getByRole("button", { name: "Switch it off" }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill(task.reason);
    await page.getByRole("dialog").getByRole("button", { name: "Switch it off" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await say(page, /1 thing wants a look/);
    const worst = await health.getByRole("listitem").first().innerText();
    looks.warns = await look(page, "settings-health-warns");
    return { good, keys, worst, looks };
  },
});
