#!/usr/bin/env python3
"""Engine: heal and rollout, Portolan beside the same image as a Docker Swarm service on the same
Docker Engine, with Swarm's defaults and with its best settings. Prints a table.

Heal: `docker kill` of one of three replicas until three are ready again, the killed one not among
them; probe every second. A replica that fails again within ten minutes waits before it is started
again (back-off), so Portolan's are killed once each; Swarm has no back-off. Rollout: from the
command until ten replicas of the new image are ready and none of the old one is left. Swarm's readiness is its container health check; Portolan's is an
HTTP probe. Both are timed by polling every 20 ms.
"""

import os
import shutil
import subprocess
import tempfile
import time

import common
from common import call, docker, say, wait_for

HEALS = int(os.environ.get("BENCH_HEALS", "20"))
PERIOD = 0.02
# A server that ends when told to; without the trap, process 1 ignores SIGTERM and every stop takes
# the whole grace period, with any engine.
WWW = ("trap exit TERM; /busybox mkdir -p /tmp/w; echo %s > /tmp/w/index.html; "
       "/busybox httpd -f -p 8080 -h /tmp/w & wait")


def build(image, version):
    directory = tempfile.mkdtemp()
    try:
        shutil.copy("/bin/busybox", directory)
        with open(f"{directory}/Dockerfile", "w", encoding="utf-8") as file:
            file.write(f'FROM scratch\nCOPY busybox /busybox\nCOPY busybox /bin/sh\nCMD ["/busybox", "sh", "-c", "{WWW % version}"]\n')
        docker("build", "--quiet", "--tag", image, directory)
    finally:
        shutil.rmtree(directory)


class Swarm:
    """A service on a one-node swarm that exists for the benchmark only."""

    HEALTH = ["--health-cmd", "/busybox wget -q -O /dev/null http://127.0.0.1:8080/",
              "--health-interval", "1s", "--health-timeout", "1s", "--health-retries", "3"]

    def __init__(self, name, images, restart=(), update=()):
        self.name, self.images = name, images
        self.restart, self.update = list(restart), list(update)
        self.service = f"portolan-bench-{os.getpid()}"
        self.engine = common.DockerSocket()

    def containers(self):
        filters = f'{{"label":["com.docker.swarm.service.name={self.service}"]}}'
        return self.engine.json("/containers/json?filters=" + common.urllib.parse.quote(filters))

    def healthy(self, image):
        return {c["Id"] for c in self.containers()
                if c["Image"].startswith(image) and "(healthy)" in c["Status"]}

    def start(self, replicas):
        docker("service", "create", "--detach", "--no-resolve-image", "--name", self.service,
               "--replicas", str(replicas), *self.HEALTH, *self.restart, *self.update,
               self.images[0])
        wait_for("the service is healthy",
                 lambda: len(self.healthy(self.images[0])) == replicas, 120)

    def kill_one(self):
        victim = sorted(self.healthy(self.images[0]))[0]
        start = time.monotonic()
        docker("kill", victim)
        wait_for("healed", lambda: len(self.healthy(self.images[0]) - {victim}) == 3, 60, PERIOD)
        return time.monotonic() - start

    def roll(self):
        start = time.monotonic()
        docker("service", "update", "--detach", "--no-resolve-image", "--image", self.images[1],
               self.service)

        def done():
            all_of_it = self.containers()
            return len(all_of_it) == 10 and len(self.healthy(self.images[1])) == 10
        wait_for("rolled", done, 400, PERIOD)
        return time.monotonic() - start

    def stop(self):
        docker("service", "rm", self.service, check=False)
        wait_for("the service is gone", lambda: not self.containers(), 60)


class Portolan:
    """A deployment in a project of its own, by the JSON API."""

    def __init__(self, server):
        self.name, self.server = "Portolan", server
        self.base = server.url + "/api/v1"
        self.url = f"{self.base}/environments/bench/deployments/web"

    def call(self, method, url, body=None):
        return call(method, url, body, self.server.auth)

    def view(self):
        return self.call("GET", self.url)

    def ready(self):
        replicas = self.call("GET", self.url + "/replicas")["items"]
        return {r["containerId"] for r in replicas if r["ready"]}

    def settled(self, revision, replicas):
        view = self.view()
        status = view["status"]
        return (view["revision"] == revision and status["phase"] == "healthy"
                and status["replicas"] == status["readyReplicas"] == replicas)

    def spec(self, replicas, image):
        return {"replicas": replicas, "template": {"containers": [{
            "name": "web", "image": image, "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"},
                          "limits": {"cpu": "500m", "memory": "64Mi"}}}]}}

    def start(self, replicas):
        self.call("PUT", self.url, self.spec(replicas, "bench/web:1"))
        self.revision = self.view()["revision"]
        wait_for("the deployment is healthy", lambda: self.settled(self.revision, replicas), 120)

    def unharmed(self):
        replicas = self.call("GET", self.url + "/replicas")["items"]
        return sorted(r["containerId"] for r in replicas if r["ready"] and not r["restarts"])

    def kill_one(self):
        if not self.unharmed():
            self.stop()
            self.start(3)
        victim = self.unharmed()[0]
        start = time.monotonic()
        docker("kill", victim)
        wait_for("healed", lambda: len(self.ready() - {victim}) == 3, 60, PERIOD)
        return time.monotonic() - start

    def roll(self):
        start = time.monotonic()
        self.call("PUT", self.url, self.spec(10, "bench/web:2"))
        wait_for("rolled", lambda: self.settled(self.revision + 1, 10), 400, PERIOD)
        return time.monotonic() - start

    def stop(self):
        call("DELETE", self.url, auth=self.server.auth, expect=(200, 202, 204))

        def gone():
            try:
                # The row goes last; the next benchmark uses the same name.
                call("GET", self.url, auth=self.server.auth, expect=(404,))
            except RuntimeError:
                return False
            ours = docker("ps", "-aq", "--filter", "label=deployment=web")
            return not ours
        wait_for("the deployment is gone", gone, 60)


def heal(subject):
    say(f"{subject.name}: healing {HEALS} times")
    subject.start(3)
    try:
        times = []
        for _ in range(HEALS):
            times.append(subject.kill_one())
            # Away from the probe's period.
            time.sleep(float(os.environ.get("BENCH_HEAL_PAUSE", "2")) + 0.137)
        return times
    finally:
        subject.stop()


def roll(subject):
    say(f"{subject.name}: rolling 10 replicas")
    subject.start(10)
    try:
        return subject.roll()
    finally:
        subject.stop()


def swarm_results(images):
    """Heal and rollout with Swarm's defaults and with the best settings found for it."""
    had_bridge = "docker_gwbridge" in docker("network", "ls", "--format", "{{.Name}}").split()
    if docker("info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive":
        raise RuntimeError("this Docker Engine is in a swarm already; the benchmark will not touch it")
    docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
    try:
        fast = ["--restart-delay", "0s"]
        parallel = ["--update-order", "start-first", "--update-parallelism", "3",
                    "--update-monitor", "1s"]
        plain = Swarm("Swarm, defaults", images)
        best = Swarm("Swarm, best settings", images, fast, parallel)
        return {"heal": (heal(plain), heal(best)), "roll": (roll(plain), roll(best))}
    finally:
        docker("swarm", "leave", "--force")
        if not had_bridge:
            docker("network", "rm", "docker_gwbridge", check=False)


def portolan_results(directory, images):
    # A configuration of its own, so that the login stays here.
    os.environ["DOCKER_CONFIG"] = str(directory / "docker")
    with common.portolan(directory) as server:
        call("POST", server.url + "/api/v1/projects",
             {"name": "bench", "visibility": "private"}, server.auth)
        subprocess.run(["docker", "login", server.host, "--username", "admin", "--password-stdin"],
                       input=common.PASSWORD, text=True, check=True, capture_output=True)
        for version, image in enumerate(images, 1):
            remote = f"{server.host}/bench/web:{version}"
            docker("tag", image, remote)
            docker("push", "--quiet", remote)
            docker("rmi", remote, check=False)
        subject = Portolan(server)
        return {"heal": heal(subject), "roll": roll(subject)}


def report(ours, theirs):
    def row(title, own, default, best):
        return (title, f"{own:.2f} s", f"{default:.2f} s", f"{best:.2f} s",
                f"**{default / own:.1f}×** / **{best / own:.1f}×**")
    heals = [ours["heal"], *theirs["heal"]]
    rows = [
        row("kill to ready again, p50", *(common.percentile(t, 50) for t in heals)),
        row("kill to ready again, p95", *(common.percentile(t, 95) for t in heals)),
        row("roll 10 replicas", ours["roll"], *theirs["roll"]),
    ]
    print(common.table(["engine", "Portolan", "Swarm, defaults", "Swarm, best settings",
                        "faster by"], rows))


def main():
    images = [f"portolan-bench-web:{version}" for version in (1, 2)]
    for version, image in enumerate(images, 1):
        build(image, version)
    try:
        if os.environ.get("BENCH_PEER_ONLY"):
            theirs = swarm_results(images)
            report({"heal": theirs["heal"][1], "roll": theirs["roll"][1]}, theirs)
            return
        with common.scratch() as directory:
            ours = portolan_results(directory, images)
        report(ours, swarm_results(images))
    finally:
        docker("rmi", *images, check=False)


if __name__ == "__main__":
    main()
