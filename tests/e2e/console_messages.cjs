// Scenarios about the messages of a device, as they pass.

module.exports = ({ task, goTo, settled, heading, say, press, look, signIn }) => ({
  /** Reads what a device says; then somebody who may not read sees that it speaks, until their session ends. */
  async messages(page) {
    const rows = page.getByRole("table", { name: /^Messages that passed/ }).getByRole("row");
    const place = `/devices/${task.device}?tab=messages`;
    await signIn(page);
    await goTo(page, place);
    await settled(page);
    const looks = { idle: await look(page, "messages-idle") };
    await press(page, "Read them too");
    await page.locator(".tag", { hasText: "Reading" }).waitFor();
    looks.empty = await look(page, "messages-empty");
    // The device speaks from here on.
    await say(page, task.last);
    await settled(page);
    looks.read = await look(page, "messages-read");
    const read = await rows.allInnerTexts();
    const payloads = await page.locator(".payload").allInnerTexts();
    const bold = await page.locator(".payload pre b").count();
    await press(page, "Stop");
    await say(page, "The watching has ended: you stopped it.");
    looks.stopped = await look(page, "messages-stopped");

    await page.goto(task.url);
    await page.getByLabel("Account", { exact: true }).last().fill(task.account);
    await page.getByLabel("Password", { exact: true }).fill(task.password);
    await page.keyboard.press("Enter");
    await heading(page, "Overview");
    await goTo(page, place);
    await settled(page);
    const mayRead = await page.getByRole("button", { name: "Read them too" }).count();
    await press(page, "Watch that messages pass");
    await page.locator(".tag", { hasText: "Watching" }).waitFor();
    await rows.nth(1).waitFor();
    const watched = await rows.allInnerTexts();
    looks.watched = await look(page, "messages-watched");
    await page.evaluate(async () => {
      const own = await (await fetch("/api/v1/account/sessions")).json();
      for (const { id } of own.items) {
        await fetch(`/api/v1/account/sessions/${id}`, { method: "DELETE", headers: { "Palisade-Request": "1" } });
      }
    });
    await say(page, /Your session has ended/);
    return { read, payloads, bold, mayRead, watched, looks };
  },
});
