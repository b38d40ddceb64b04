"""What the benchmarks share: starting servers, a small HTTP client, medians and tables."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PASSWORD = "a password for benchmarks only"


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, check, timeout=60, period=0.05):
    """Returns check()'s first true value."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout} s still not: {what}")
        time.sleep(period)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


def call(method, url, body=None, auth=None, expect=(200, 201, 204)):
    """JSON in, JSON out."""
    request = urllib.request.Request(url, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    if status not in expect:
        raise RuntimeError(f"{method} {url}: {status} {text.decode(errors='replace')}")
    return json.loads(text) if text.strip() else None


class Process:
    """A server in a temporary directory, stopped at the end."""

    def __init__(self, name, args, directory, env=None):
        self.name, self.directory = name, directory
        self.log = open(directory / f"{name}.log", "wb")
        self.child = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(env or {})},
        )

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()

    def tail(self):
        return (self.directory / f"{self.name}.log").read_text(errors="replace")[-3000:]


@contextlib.contextmanager
def scratch():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="portolan-bench."))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def portolan(directory):
    """A release server with its embedded PostgreSQL; yields an object with url and auth."""
    binary = ROOT / "target/release/portolan"
    port = free_port()
    data = directory / "portolan"
    process = Process(
        "portolan",
        [binary, "serve", "--data-dir", data, "--listen", f"127.0.0.1:{port}",
         "--tls-listen", f"127.0.0.1:{free_port()}"],
        directory,
        {"PORTOLAN_ADMIN_PASSWORD": PASSWORD, "RUST_LOG": "warn"},
    )
    process.url, process.auth = f"http://127.0.0.1:{port}", f"admin:{PASSWORD}"
    process.host = f"127.0.0.1:{port}"
    try:
        wait_for("portolan is ready", lambda: answers(process.url + "/readyz"))
        yield process
    except BaseException:
        say(f"portolan's last words:\n{process.tail()}")
        raise
    finally:
        process.stop()
        subprocess.run([binary, "gateway", "--stop", "--data-dir", data],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def registry_token(server, repository, actions="pull,push"):
    """A Bearer token, fetched as a client would: from the challenge of /v2/."""
    try:
        urllib.request.urlopen(server.url + "/v2/", timeout=5)
        raise RuntimeError("/v2/ answered without credentials")
    except urllib.error.HTTPError as error:
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers["WWW-Authenticate"]))
    query = urllib.parse.urlencode(
        {"service": challenge["service"], "scope": f"repository:{repository}:{actions}"})
    answer = call("GET", f"{challenge['realm']}?{query}", auth=server.auth)
    return answer.get("token") or answer["access_token"]


class DockerSocket(http.client.HTTPConnection):
    """The Docker Engine API on its unix socket."""

    def __init__(self):
        super().__init__("localhost", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

    def json(self, path):
        self.request("GET", path)
        response = self.getresponse()
        text = response.read()
        if response.status != 200:
            raise RuntimeError(f"GET {path}: {response.status} {text.decode(errors='replace')}")
        return json.loads(text)


def docker(*args, check=True):
    done = subprocess.run(["docker", *args], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(p / 100 * (len(ordered) - 1)))]


def median(values):
    return statistics.median(values)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
