// From the page: deploy a pushed image, watch it become healthy, heal, scale, roll back, and read
// its log. Each state must show without loading the page again, within two seconds of the engine.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PASSWORD, api, eventually, startBrowser, startServer } from "./support.mjs";

const DEPLOYMENT = "/api/v1/environments/demo/deployments/hello";
/** How far a page may be behind the engine, milliseconds. */
const BEHIND = 2000;

let server;
let browser;
let config;

const docker = (...args) =>
  execFileSync("docker", args, {
    encoding: "utf8",
    env: { ...process.env, DOCKER_CONFIG: config, DOCKER_BUILDKIT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });

function push(version) {
  const directory = mkdtempSync(join(tmpdir(), "portolan-image-"));
  const command = `echo hello from version ${version}; /busybox mkdir -p /tmp/w; echo ${version} > /tmp/w/index.html; exec /busybox httpd -f -p 8080 -h /tmp/w`;
  copyFileSync("/bin/busybox", join(directory, "busybox"));
  writeFileSync(
    join(directory, "Dockerfile"),
    `FROM scratch\nCOPY busybox /busybox\nCMD ${JSON.stringify(["/busybox", "sh", "-c", command])}\n`,
  );
  const image = `${new URL(server.url).host}/demo/hello:${version}`;
  docker("build", "--quiet", "--tag", image, directory);
  docker("push", "--quiet", image);
  rmSync(directory, { recursive: true });
}

const replicas = async () => (await api(server, "GET", `${DEPLOYMENT}/replicas`)).items;
const status = async () => (await api(server, "GET", DEPLOYMENT)).status;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  config = mkdtempSync(join(tmpdir(), "portolan-docker-"));
  await api(server, "POST", "/api/v1/projects", { name: "demo", visibility: "private" });
  docker("login", "--username", "admin", "--password", PASSWORD, new URL(server.url).host);
  push(1);
  push(2);
});

after(async () => {
  await api(server, "DELETE", DEPLOYMENT, undefined, [202, 204, 404]);
  await eventually("the deployment is gone", async () =>
    api(server, "GET", DEPLOYMENT, undefined, [404]).then(() => true, () => false), 60);
  await browser?.close();
  await server?.stop();
  rmSync(config, { recursive: true, force: true });
});

test("a deployment made on the page is followed live", async () => {
  const context = await browser.newContext({ locale: "en-US" });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`${page.url()}: ${message.text()}`);
  });
  await page.goto(`${server.url}/login`);
  await page.fill("#f-name", "admin");
  await page.fill("#f-password", PASSWORD);
  await page.click("form.pad button[type=submit]");

  // A wrong quantity is refused at its field, and what was typed stays.
  await page.goto(`${server.url}/p/demo/a/new?image=demo/hello:1`);
  assert.equal(await page.inputValue("#f-name"), "hello");
  await page.fill("#f-memory_limit", "50x");
  await page.click("main button.pri");
  assert.match(await page.textContent("#e-memory_limit"), /50x/);
  assert.equal(await page.inputValue("#f-image"), "demo/hello:1");

  await page.fill("#f-memory_limit", "64Mi");
  await page.fill("#f-memory_request", "16Mi");
  await page.click("main button.pri");
  assert.match(page.url(), /\/p\/demo\/a\/hello/);
  await eventually("the engine says healthy", async () => (await status()).phase === "healthy");
  await page.waitForSelector("#phase .st[data-s=ok]", { timeout: BEHIND });
  assert.equal(await page.locator("#replicas tbody tr").count(), 2);

  // Healing shows why.
  const [victim] = await replicas();
  docker("kill", victim.containerId);
  await eventually("the replica is ready again", async () =>
    (await replicas()).every((replica) => replica.ready && replica.containerId !== victim.containerId));
  await page.waitForSelector("#feed :text('killed by signal 9')", { timeout: BEHIND });

  // Scaling, from its own page.
  await page.click("a:has-text('Scale')");
  await page.fill("#f-replicas", "3");
  await page.click("main button.pri");
  await eventually("three are ready", async () => (await status()).readyReplicas === 3);
  await page.waitForFunction(() => document.querySelectorAll("#replicas tbody tr").length === 3, null, { timeout: BEHIND });

  // Another image through the configuration, then back.
  await page.click("nav.tabs a:has-text('Configuration')");
  await page.fill("#f-image", "demo/hello:2");
  await page.click("main form.pad button.pri");
  await eventually("revision 2 is complete", async () => {
    const view = await api(server, "GET", DEPLOYMENT);
    return view.revision === 2 && view.status.phase === "healthy";
  });
  await page.waitForSelector("#timeline :text('Revision 2')", { timeout: BEHIND });
  await page.click("#timeline a:has-text('Roll back')");
  assert.match(await page.textContent(".diff"), /demo\/hello:2[\s\S]*demo\/hello:1/);
  await page.fill("#f-reason", "trying it out");
  await page.click("main button.pri");
  await eventually("revision 3 is complete", async () => {
    const view = await api(server, "GET", DEPLOYMENT);
    return view.revision === 3 && view.status.phase === "healthy";
  });

  // Its log, and the log of everything.
  await page.click("nav.tabs a:has-text('Logs')");
  await page.waitForSelector("#log :text('hello from version 1')");
  await page.goto(`${server.url}/audit?action=deployment.rollback`);
  await page.waitForSelector(".log :text('trying it out')");
  assert.deepEqual(faults.filter((fault) => !fault.includes("422")), []);
  await context.close();
});
