// Scenarios about what every page is made of.

/** From the moment that a dialog is there: whether it could be seen and touched, frame by frame. */
function watchDialogs(frames) {
  window.seenDialogs = [];
  const isThere = (one) => {
    const { x, y, width, height } = one.getBoundingClientRect();
    const isSeen = one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    return isSeen && one.contains(document.elementFromPoint(x + width / 2, y + height / 2));
  };
  new MutationObserver((changes) => {
    const added = changes.flatMap((change) => [...change.addedNodes]).filter((node) => node instanceof Element);
    const dialog = added.map((node) => (node.matches("[role=dialog]") ? node : node.querySelector("[role=dialog]"))).find(Boolean);
    if (!dialog) return;
    const seen = [];
    const look = () => {
      seen.push(isThere(dialog));
      if (seen.length < frames) requestAnimationFrame(look);
      else window.seenDialogs.push(seen);
    };
    requestAnimationFrame(look);
  }).observe(document.body, { childList: true, subtree: true });
}

module.exports = ({ signIn, goTo, settled }) => ({
  /** Opens a dialog whose first field takes the focus: with a mouse, on a screen that is touched, and in a window that became lower. */
  async dialogs(page) {
    await signIn(page);
    await goTo(page, "/people?tab=teams");
    await settled(page);
    await page.evaluate(watchDialogs, 12);
    const seen = {};
    const open = async (name) => {
      await page.getByRole("button", { name: "Make a team" }).click();
      await page.waitForFunction(() => window.seenDialogs.length > 0);
      seen[name] = await page.evaluate(() => window.seenDialogs.splice(0));
      await page.getByRole("dialog").getByLabel("Name").waitFor();
    };
    const close = async () => {
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    };
    await open("mouse");
    await close();
    const browser = await page.context().newCDPSession(page);
    await browser.send("Emulation.setTouchEmulationEnabled", { enabled: true, maxTouchPoints: 5 });
    await open("touch");
    await page.setViewportSize({ width: 1280, height: 700 });
    await close();
    await open("lower");
    return { seen };
  },
});
