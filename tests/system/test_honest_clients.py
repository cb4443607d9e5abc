"""Programs people use, on a machine with no processor to spare: each connection of each is proven."""

import os
import shutil

import pytest

from conftest import ECHO, PYTHON, RACES
from rig.client import run
from rig.waiting import eventually
from rig.world import GATE
from test_real_clients import HELPERS, go_client, ssh, ssh_key, Caller, needs  # noqa: F401

JAVA = shutil.which("java")
JAVA_THREADS = 100


class Clients(Caller):
    """Each makes `count` connections to where "hello" comes back, or to the page that says so."""

    def to(self, *more):
        return (GATE, self.warder.port, "v4.test", ECHO, *more)

    def each(self, count, *argv):
        """A process for every connection, five at a time."""
        loop = 'seq "$0" | xargs -P5 -I{} sh -c \'printf hello | "$@"\' sh "$@"'
        return self.run("sh", "-c", loop, count, *argv)

    def curl(self, count):
        return self.each(count, "curl", "-sS", "-m", "60", "-o", "/dev/null", "-p", "-x", self.proxy, "--cacert",
                         self.certificate, "https://v4.test/hello")

    def wget(self, count):
        return self.each(count, "wget", "-q", "-O/dev/null", "--tries=1",
                         f"--ca-certificate={self.certificate}", "https://v4.test/hello")

    def openssl(self, count):
        return self.each(count, "openssl", "s_client", "-proxy", f"{GATE}:{self.warder.port}", "-connect",
                         "v4.test:443", "-CAfile", self.certificate)

    def socat(self, count):
        return self.each(count, "socat", "-t60", "-",
                         f"PROXY:{GATE}:v4.test:{ECHO},proxyport={self.warder.port}")

    def python(self, count, threads=0, timeout=0):
        return self.run(PYTHON, HELPERS / "clients.py", *self.to(count, threads, timeout))

    def node(self, count):
        return self.run("node", HELPERS / "clients.js", *self.to(count))

    def java(self, count):
        return self.run(JAVA, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", HELPERS / "Clients.java",
                        *self.to(count, JAVA_THREADS))

    def go(self, count, program):
        return self.run(program, "https://v4.test/hello", count)


CLIENTS = {
    "curl": (Clients.curl, "/usr/bin/curl"),
    "wget": (Clients.wget, "/usr/bin/wget"),
    "openssl": (Clients.openssl, "/usr/bin/openssl"),
    "socat": (Clients.socat, "/usr/bin/socat"),
    "python": (Clients.python, PYTHON),
    "python with a timeout": (lambda clients, count: clients.python(count, timeout=60), PYTHON),
    "python with threads": (lambda clients, count: clients.python(count, threads=10), PYTHON),
    "python with threads and a timeout": (
        lambda clients, count: clients.python(count, threads=10, timeout=60), PYTHON),
    "node": (Clients.node, shutil.which("node")),
    "java with 100 threads": (Clients.java, JAVA),
}


@pytest.fixture
def clients(world, warder, site):
    return Clients(world, warder, site.certificate)


def assert_proven(warder, mark, ran, binary, count):
    assert ran.code == 0, str(ran)
    def records():
        return [r for r in warder.records.since(mark) if r.get("event") == "decision"]

    # The last ones may be written after the client has ended.
    eventually(lambda: len(records()) >= count, f"{count} records")
    assert len(records()) == count
    for record in records():
        assert (record["decision"], record["binary"]) == ("allow", os.path.realpath(binary)), record
        assert (record["grade"], record["assurance"], record["causes"]) == ("exact", "proven", []), record


@pytest.mark.parametrize("name", CLIENTS)
def test_proven(clients, warder, load, name):
    call, binary = CLIENTS[name]
    needs(binary, name)
    count = -(-RACES // JAVA_THREADS) * JAVA_THREADS if "java" in name else RACES
    mark = warder.mark()
    assert_proven(warder, mark, call(clients, count), binary, count)


def test_go_proven(clients, warder, load, go_client):  # noqa: F811
    mark = warder.mark()
    assert_proven(warder, mark, clients.go(RACES, go_client), go_client, RACES)


def test_ssh_through_socat_proven(clients, warder, load, ssh_key):  # noqa: F811
    mark = warder.mark()
    count = max(RACES // 5, 1)
    for _ in range(count):
        ran = ssh(clients, "v4.test", ssh_key)
        assert b"hello from the origin" in ran.out, str(ran)
    assert_proven(warder, mark, ran, "/usr/bin/socat", count)
