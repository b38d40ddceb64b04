#!/usr/bin/env python3
"""Registry: Portolan (with its token authorization) beside Debian's docker-registry (without any),
one after the other in each of three rounds, on loopback, on the same disk. Prints a table."""

import hashlib
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request

import common
from common import say

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
LOAD = sys.argv[1]
REPOSITORY = "bench/small"


class Peer:
    def __init__(self, name, url, token=None):
        self.name, self.url, self.token = name, url, token or (lambda: None)
        self.results = {}

    def note(self, what, value):
        self.results.setdefault(what, []).append(value)

    def wrk(self, connections, path):
        """Requests and MiB per second, p99 in ms. Any answer but 2xx is an error."""
        args = ["wrk", "-t", str(min(2, connections)), "-c", str(connections),
                "-d", f"{SECONDS}s", "--latency", "-H",
                "Accept: application/vnd.oci.image.manifest.v1+json"]
        token = self.token()
        if token:
            args += ["-H", f"Authorization: Bearer {token}"]
        out = subprocess.run(args + [self.url + path], capture_output=True, text=True, check=True)
        text = out.stdout
        if "Non-2xx" in text:
            raise RuntimeError(f"{self.name} {path}: {text}")
        units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
        requests = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        return requests, float(value) * units[unit]

    def load(self, verb, count, workers):
        token = self.token()
        args = [LOAD, verb, self.url, REPOSITORY, str(count), str(workers)]
        out = subprocess.run(args + ([token] if token else []), capture_output=True, text=True,
                             check=False)
        if out.returncode:
            raise RuntimeError(f"{self.name} {verb}: {out.stderr[-2000:]}")
        return float(out.stdout)

    def put_blob(self, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        token = self.token()

        def send(method, url, body=None):
            request = urllib.request.Request(url, data=body, method=method)
            if token:
                request.add_header("Authorization", f"Bearer {token}")
            if body:
                request.add_header("Content-Type", "application/octet-stream")
            return urllib.request.urlopen(request, timeout=60)

        with send("POST", f"{self.url}/v2/{REPOSITORY}/blobs/uploads/") as started:
            location = urllib.parse.urljoin(self.url, started.headers["Location"])
        joiner = "&" if "?" in location else "?"
        send("PUT", f"{location}{joiner}digest={urllib.parse.quote(digest)}", data).close()
        return digest


def measure(peers):
    big = os.urandom(10 << 20)
    for peer in peers:
        say(f"{peer.name}: filling")
        peer.big = peer.put_blob(big)
        peer.load("push", 100, 8)
    for number in range(ROUNDS):
        for peer in peers:
            say(f"round {number + 1} of {ROUNDS}: {peer.name}")
            requests, p99 = peer.wrk(32, f"/v2/{REPOSITORY}/manifests/t1")
            peer.note("manifest", requests)
            peer.note("manifest p99", p99)
            for connections in (1, 4):
                requests, _ = peer.wrk(connections, f"/v2/{REPOSITORY}/blobs/{peer.big}")
                peer.note(f"blob {connections}", requests * 10)
            peer.note("push 1", peer.load("push", 50, 1))
            peer.note("push 8", peer.load("push", 100, 8))
            peer.note("pull 8", peer.load("pull", 100, 8))


ROWS = [
    ("manifest", "GET manifest by tag, 32 connections", "/s"),
    ("manifest p99", "the same, p99 latency", " ms"),
    ("blob 1", "GET 10 MiB blob, 1 connection", " MiB/s"),
    ("blob 4", "GET 10 MiB blob, 4 connections", " MiB/s"),
    ("push 1", "push small images, one by one", "/s"),
    ("push 8", "push 100 small images, 8 at a time", "/s"),
    ("pull 8", "pull 100 small images, 8 at a time", "/s"),
]


def report(ours, theirs):
    rows = []
    for key, title, unit in ROWS:
        a, b = common.median(ours.results[key]), common.median(theirs.results[key])
        better = b / a if key.endswith("p99") else a / b
        rows.append((title, f"{a:,.0f}{unit}", f"{b:,.0f}{unit}", f"**{better:.1f}×**"))
    print(common.table(["registry (medians)", ours.name, theirs.name, "better by"], rows))


def docker_registry(directory):
    port = common.free_port()
    config = directory / "registry.yml"
    config.write_text(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {directory}/registry}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
""")
    process = common.Process("docker-registry", ["docker-registry", "serve", config], directory)
    url = f"http://127.0.0.1:{port}"
    common.wait_for("docker-registry is ready", lambda: common.answers(url + "/v2/"))
    return process, url


def main():
    with common.scratch() as directory:
        process, url = docker_registry(directory)
        try:
            theirs = Peer("docker-registry", url)
            if os.environ.get("BENCH_PEER_ONLY"):
                measure([theirs])
                report(theirs, theirs)
                return
            with common.portolan(directory) as server:
                common.call("POST", server.url + "/api/v1/projects",
                            {"name": "bench", "visibility": "private"}, server.auth)
                ours = Peer("Portolan", server.url,
                            lambda: common.registry_token(server, REPOSITORY))
                measure([ours, theirs])
                report(ours, theirs)
        finally:
            process.stop()


if __name__ == "__main__":
    main()
