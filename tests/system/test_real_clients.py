"""Programs people use, through CONNECT to a TLS origin: each allowed, and each denied."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import ECHO, PYTHON
from rig.client import Agent, run
from rig.world import CLIENT_UID, GATE, ORIGIN

HELPERS = Path(__file__).parent / "helpers"
URLLIB = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


@pytest.fixture(scope="session")
def go_client(go_client_path):
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(go):
        pytest.skip("GO IS MISSING: Go's net/http is not tested (scripts/setup installs it)")
    subprocess.run([go, "build", "-o", go_client_path, "."], cwd=HELPERS / "goclient", check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    return go_client_path


@pytest.fixture(scope="session")
def repository(world, site):
    """A git repository that the origin serves over the dumb protocol."""
    work, bare = world.work / "repository", site.pages / "repository.git"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q", work], check=True)
    (work / "hello").write_text("hello from the origin\n")
    subprocess.run([*git, "-C", work, "add", "hello"], check=True)
    subprocess.run([*git, "-C", work, "commit", "-q", "-m", "hello"], check=True)
    subprocess.run([*git, "clone", "-q", "--bare", work, bare], check=True)
    subprocess.run([*git, "-C", bare, "update-server-info"], check=True)


class Caller:
    """Runs clients in the box, as the client's user."""

    def __init__(self, world, warder, certificate):
        self.world, self.warder, self.certificate = world, warder, certificate
        self.proxy = f"http://{GATE}:{warder.port}"

    def run(self, *argv, user=CLIENT_UID, stdin=b"", **environment):
        return run(self.world, self.world.box, *argv, user=user, stdin=stdin,
                   https_proxy=self.proxy, SSL_CERT_FILE=str(self.certificate), **environment)

    def curl(self, host):
        return self.run("curl", "-sS", "-m", "60", "-p", "-x", self.proxy, "--cacert",
                        self.certificate, f"https://{host}/hello")

    def wget(self, host):
        return self.run("wget", "-nv", "-O-", "--tries=1", f"--ca-certificate={self.certificate}",
                        f"https://{host}/hello")

    def git(self, host):
        target = self.world.home / f"clone-of-{host}"
        ran = self.run("git", "clone", f"https://{host}/repository.git", target,
                       GIT_SSL_CAINFO=str(self.certificate))
        if ran.code == 0:
            ran.out += (target / "hello").read_bytes()
        return ran

    def urllib(self, host):
        return self.run(PYTHON, "-c", URLLIB, f"https://{host}/hello")

    def node(self, host):
        return self.run("node", HELPERS / "connect.js", GATE, self.warder.port, host, "443",
                        NODE_EXTRA_CA_CERTS=str(self.certificate))

    def node_agent(self, host):
        """The package that most Node programs use for this."""
        return self.run("node", HELPERS / "proxy-agent.js", self.proxy, f"https://{host}/hello",
                        NODE_PATH="/usr/share/nodejs", NODE_EXTRA_CA_CERTS=str(self.certificate))

    def go(self, host, program):
        return self.run(program, f"https://{host}/hello")

    def openssl(self, host):
        return self.run("openssl", "s_client", "-proxy", f"{GATE}:{self.warder.port}", "-connect",
                        f"{host}:443", "-CAfile", self.certificate, "-verify_return_error",
                        "-verify_hostname", host, "-quiet", stdin=b"GET /hello HTTP/1.0\r\n\r\n")


@pytest.fixture
def caller(world, warder, site, repository):
    return Caller(world, warder, site.certificate)


# How each is called, and the binary that connects.
CLIENTS = {
    "curl": (Caller.curl, "/usr/bin/curl"),
    "wget": (Caller.wget, "/usr/bin/wget"),
    "git": (Caller.git, "/usr/lib/git-core/git-remote-http"),
    "urllib": (Caller.urllib, PYTHON),
    "node": (Caller.node, shutil.which("node")),
    "node with https-proxy-agent": (
        Caller.node_agent,
        os.path.exists("/usr/share/nodejs/https-proxy-agent") and shutil.which("node"),
    ),
    "openssl": (Caller.openssl, "/usr/bin/openssl"),
}


def decision_about(warder, mark, host, binary):
    """git connects several times, so that the last record of one test may come in the next one."""
    return warder.records.wait(
        lambda r: (r.get("event"), r.get("host"), r.get("binary")) == ("decision", host, os.path.realpath(binary)),
        f"what it decided about {host} for {binary}",
        mark,
    )


def assert_allowed(warder, mark, ran, binary, host="origin.test"):
    assert b"hello from the origin" in ran.out, str(ran)
    record = decision_about(warder, mark, host, binary)
    assert (record["decision"], record["code"], record["status"]) == ("allow", "allowed", 200)


def assert_denied(warder, mark, ran, binary, host="denied.test"):
    assert ran.code != 0, str(ran)
    assert b"403" in ran.err or b"Forbidden (denied)" in ran.err, str(ran)
    record = decision_about(warder, mark, host, binary)
    assert (record["decision"], record["code"], record["status"]) == ("deny", "denied", 403)


def needs(binary, name):
    if not binary or not os.path.exists(binary):
        pytest.skip(f"{name.upper()} IS MISSING: it is not tested (scripts/setup installs it)")


@pytest.mark.parametrize("name", CLIENTS)
def test_allowed(caller, warder, name):
    call, binary = CLIENTS[name]
    needs(binary, name)
    mark = warder.mark()
    assert_allowed(warder, mark, call(caller, "origin.test"), binary)


@pytest.mark.parametrize("name", CLIENTS)
def test_denied(caller, warder, name):
    call, binary = CLIENTS[name]
    needs(binary, name)
    mark = warder.mark()
    assert_denied(warder, mark, call(caller, "denied.test"), binary)


def test_go_allowed(caller, warder, go_client):
    mark = warder.mark()
    assert_allowed(warder, mark, caller.go("origin.test", go_client), go_client)


def test_go_denied(caller, warder, go_client):
    mark = warder.mark()
    assert_denied(warder, mark, caller.go("denied.test", go_client), go_client)


@pytest.fixture(scope="module")
def ssh_key(world, origins):
    """A real sshd in the origin's namespace; the key that opens it."""
    needs("/usr/sbin/sshd", "sshd")
    folder = Path(tempfile.mkdtemp(prefix="ssh-", dir=world.work))
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text("\n".join([
        f"ListenAddress {ORIGIN}:22", f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/user.pub",
        "StrictModes no", "UsePAM no", "PidFile none", "PermitRootLogin prohibit-password", "",
    ]))
    server = subprocess.Popen(world.origin.command("/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"),
                              stderr=subprocess.PIPE)
    try:
        while b"listening" not in (line := server.stderr.readline()):
            assert line, "sshd ended"
        yield folder / "user"
    finally:
        server.kill()
        server.wait()
        server.communicate()


def ssh(caller, host, key):
    through = f"socat - PROXY:{GATE}:%h:%p,proxyport={caller.warder.port}"
    return caller.run("ssh", "-F", "none", "-i", key, "-o", f"ProxyCommand={through}",
                      "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                      "-o", "BatchMode=yes", f"root@{host}", "echo hello from the origin", user=None)


def test_ssh_through_socat_allowed(caller, warder, ssh_key):
    """The server speaks first."""
    mark = warder.mark()
    assert_allowed(warder, mark, ssh(caller, "v4.test", ssh_key), "/usr/bin/socat", "v4.test")


def test_ssh_through_socat_denied(caller, warder, ssh_key):
    mark = warder.mark()
    assert_denied(warder, mark, ssh(caller, "denied.test", ssh_key), "/usr/bin/socat")


def test_500_interleaved_connections_of_an_allowed_and_a_denied_program(warder, world, programs, origins):
    rounds, each = 10, 25
    before = origins.allowed[ECHO].connections()
    with Agent(world, world.box, programs.allowed) as allowed, \
            Agent(world, world.box, programs.denied) as denied:
        for number in range(rounds):
            # Both write and read at the same time: the connections arrive mixed.
            for agent in (allowed, denied):
                agent.tell("open", to=[GATE, warder.port], count=each,
                           head=f"CONNECT {ORIGIN}:{ECHO} HTTP/1.1\r\nHost: {ORIGIN}\r\n\r\n")
            allowed.hear(), denied.hear()
            for agent in (allowed, denied):
                agent.tell("statuses", payload=f"round {number}")
            assert allowed.hear() == [200] * each
            assert denied.hear() == [403] * each
    assert origins.allowed[ECHO].connections() == before + rounds * each
