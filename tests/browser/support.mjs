// What the browser tests start: one server on a free port with a data directory of its own, and
// Debian's Chromium.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, chmodSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const BINARY = process.env.PORTOLAN_BIN ?? new URL("../../target/debug/portolan", import.meta.url).pathname;
export const PASSWORD = "correct horse battery staple";

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until `check` gives something true and returns it. */
export async function eventually(what, check, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`after ${seconds} s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Starts `portolan serve` and waits until it is ready. Call `stop()` at the end. */
export async function startServer(environment = {}) {
  const directory = mkdtempSync(join(tmpdir(), "portolan-browser-"));
  chmodSync(directory, 0o755);
  const log = join(directory, "server.log");
  const output = openSync(log, "a");
  const [port, tlsPort] = [await freePort(), await freePort()];
  const { DATABASE_URL: _, ...inherited } = process.env;
  const child = spawn(
    BINARY,
    ["serve", "--data-dir", join(directory, "data"),
      "--listen", `127.0.0.1:${port}`, "--tls-listen", `127.0.0.1:${tlsPort}`],
    {
      stdio: ["ignore", output, output],
      env: { ...inherited, PORTOLAN_ADMIN_PASSWORD: PASSWORD, ...environment },
    },
  );
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
    spawnSync(BINARY, ["gateway", "--stop", "--data-dir", join(directory, "data")]);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await eventually("the server is ready", async () => {
      if (child.exitCode !== null) throw new Error("the server ended");
      return fetch(`${url}/readyz`).then((answer) => answer.ok, () => false);
    }, 60);
  } catch (error) {
    error.message += `\n${readFileSync(log, "utf8")}`;
    await stop();
    throw error;
  }
  return { url, directory, stop, log: () => readFileSync(log, "utf8") };
}

/** Calls the JSON API as the admin; throws on any status but those expected. */
export async function api(server, method, path, body, expected = [200, 201, 204]) {
  const answer = await fetch(server.url + path, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString("base64")}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!expected.includes(answer.status)) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Chromium without a profile and without anything that calls out. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.PORTOLAN_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
