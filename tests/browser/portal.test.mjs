// The portal in a real browser: logging in and out, and every page the navigation leads to, wide
// and narrow, light and dark, English and Chinese, without an error on the console.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PASSWORD, api, startBrowser, startServer } from "./support.mjs";

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  await api(server, "POST", "/api/v1/projects", { name: "demo", visibility: "private" });
  await api(server, "POST", "/api/v1/teams", { name: "core" });
  await api(server, "POST", "/api/v1/projects/demo/applications", { name: "hello", team: "core" });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A fresh browser profile; `faults` collects what a person would call broken. */
async function open(options = {}, cookies = {}) {
  const context = await browser.newContext({ locale: "en-US", ...options });
  await context.addCookies(
    Object.entries(cookies).map(([name, value]) => ({ name, value, url: server.url })),
  );
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`${page.url()}: ${error.message}`));
  return { context, page, faults };
}

async function logIn(page, password = PASSWORD) {
  await page.goto(`${server.url}/login`);
  await page.fill("#f-name", "admin");
  await page.fill("#f-password", password);
  await page.click("form.pad button[type=submit]");
  await page.waitForLoadState();
}

test("a wrong password says so, keeps the name and lets nobody in", async () => {
  const { context, page } = await open();
  await logIn(page, "not the password");
  assert.ok(await page.isVisible("#login-error[role=alert]"));
  assert.equal(await page.inputValue("#f-name"), "admin");
  await page.goto(`${server.url}/p/demo`);
  assert.match(page.url(), /\/login/);
  await context.close();
});

test("logging out ends the session", async () => {
  const { context, page, faults } = await open();
  await logIn(page);
  assert.equal(new URL(page.url()).pathname, "/");
  const cookies = await context.cookies(server.url);
  await page.click("details.menu > summary[aria-label*=admin]");
  await page.click("form[action='/logout'] button");
  await page.waitForLoadState();
  // The old cookie, put back, opens nothing.
  await context.addCookies(cookies);
  await page.goto(`${server.url}/p/demo`);
  assert.match(page.url(), /\/login/);
  assert.deepEqual(faults, []);
  await context.close();
});

for (const [theme, language, width] of [
  ["light", "en", 1280],
  ["dark", "zh-CN", 1280],
  ["light", "zh-CN", 390],
  ["dark", "en", 390],
]) {
  test(`every page of the navigation works: ${theme}, ${language}, ${width} pixels`, async () => {
    const { context, page, faults } = await open(
      { viewport: { width, height: 800 } },
      { portolan_theme: theme, portolan_lang: language },
    );
    await logIn(page);
    const seen = new Set();
    const queue = ["/", "/p/demo", "/p/demo/a/hello", "/p", "/me", "/me/tokens", "/docs/start"];
    while (queue.length > 0) {
      const path = queue.shift();
      if (seen.has(path)) continue;
      seen.add(path);
      const answer = await page.goto(server.url + path);
      assert.equal(answer.status(), 200, path);
      assert.equal(await page.getAttribute("html", "lang"), language, path);
      assert.ok(await page.isVisible("main h1, main h2"), `${path} has a heading`);
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(overflow <= 0, `${path} is ${overflow} pixels too wide`);
      const links = await page.$$eval("nav a[href^='/']", (all) => all.map((a) => a.getAttribute("href")));
      queue.push(...links.filter((href) => !href.startsWith("/api/")));
    }
    assert.ok(seen.size >= 10, `only ${[...seen].join(" ")}`);
    assert.deepEqual(faults, []);
    await context.close();
  });
}
