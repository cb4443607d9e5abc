"""The fixtures every file shares. `rig/` holds what they are made of."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rig import origin as o
from rig.dns import DnsServer
from rig.forward import Places
from rig.opa import Opa
from rig.program import build as build_program
from rig.warder import PROGRAM, Warder
from rig.world import BLACK_HOLE6, FORBIDDEN, GATE, ORIGIN, ORIGIN6, PRIVATE, World

# The program of every RawClient.
PYTHON = os.path.realpath(sys.executable)

# How often a race is run, and how many connections each honest client makes.
RACES = int(os.environ.get("WARDER_RACES", "10"))

ECHO, SPEAKS_FIRST, EXCHANGES, ANSWERS_LATE, EXAMPLE = 7, 25, 9000, 9001, 18789

ZONE = {
    "origin.test": [ORIGIN, ORIGIN6],
    "v4.test": [ORIGIN],
    "*.v4.test": [ORIGIN],
    "blackhole.test": [BLACK_HOLE6, ORIGIN],
    "denied.test": [FORBIDDEN],
    "private.test": [ORIGIN, PRIVATE],
    "loopback.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "gate.test": [GATE],
}


def pytest_configure(config):
    config.addinivalue_line("markers", "many_inputs: a table of inputs, all of which take the same way through the threads")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))
    elif not PROGRAM.exists():
        raise pytest.UsageError(f"{PROGRAM} is not there: build it, or set WARDER")


def pytest_sessionfinish(session):
    """Where everything is installed (scripts/test), a skipped test is a test that did not do its work."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("WARDER_NO_SKIPS") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def world():
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="session")
def programs(world):
    """One program under two names: the policy allows the first and knows nothing of the second."""
    folder = world.work / "bin"
    folder.mkdir(exist_ok=True)
    made = SimpleNamespace(allowed=str(folder / "allowed-agent"), denied=str(folder / "denied-agent"))
    shutil.copy(PYTHON, made.allowed)
    shutil.copy(PYTHON, made.denied)
    return made


@pytest.fixture(scope="session")
def natives(world):
    """The same for the program of helpers/program, and a path that the policy allows, for a test to put
    at it what it likes."""
    folder = world.work / "bin"
    folder.mkdir(exist_ok=True)
    made = SimpleNamespace(
        allowed=str(folder / "allowed-native"), denied=str(folder / "denied-native"),
        replaced=str(folder / "replaced-native"),
    )
    build_program(made.allowed)
    shutil.copy(made.allowed, made.denied)
    return made


@pytest.fixture(scope="session")
def go_client_path(world):
    """Where test_real_clients builds its Go client, so that the policy can name it."""
    return world.work / "bin" / "go-client"


def endpoints(hosts, ports):
    return [
        {"host": host, "port": port, "enforcement": "enforce", "access": "full"}
        for host in hosts
        for port in ports
    ]


def paths(*programs):
    return [{"path": os.path.realpath(program)} for program in programs]


@pytest.fixture(scope="session")
def policies(programs, natives, go_client_path):
    clients = paths(
        "/usr/bin/curl", "/usr/bin/wget", "/usr/lib/git-core/git-remote-http", "/usr/bin/openssl",
        "/usr/bin/socat", shutil.which("node") or "/usr/bin/node", shutil.which("java") or "/usr/bin/java",
        go_client_path, PYTHON, programs.allowed, natives.allowed, natives.replaced,
    )
    ports = [443, 22, ECHO, SPEAKS_FIRST, EXCHANGES, ANSWERS_LATE]
    hosts = ["origin.test", "v4.test", "*.v4.test", "blackhole.test", ORIGIN, ORIGIN6]
    return {
        "clients": {"endpoints": endpoints(hosts, ports), "binaries": clients},
        # As in the issue this project began with.
        "my_endpoint": {
            "endpoints": endpoints([PRIVATE], [EXAMPLE]),
            "binaries": paths("/usr/bin/socat", "/usr/bin/curl", programs.allowed),
        },
        # The policy allows these names; what they resolve to is for the address guard to judge.
        "bad_addresses": {
            "endpoints": endpoints(
                ["private.test", "loopback.test", "metadata.test", "gate.test", "missing.test"], [443]
            ),
            "binaries": paths(PYTHON),
        },
        "somebody_else": {
            "endpoints": endpoints(["denied.test", FORBIDDEN], [443, 22, ECHO]),
            "binaries": [{"path": "/usr/bin/somebody-else"}],
        },
    }


@pytest.fixture(scope="session")
def opa(world, policies):
    opa = Opa(world, policies)
    yield opa
    opa.stop()


def forward_endpoints(port, *hosts):
    return [{"host": host, "port": port, "access": "full"} for host in hosts]


@pytest.fixture(scope="session")
def forward_policies(programs, natives, go_client_path):
    """For requests that are forwarded. `*.raw.test` has a name and an address for each run."""
    clients = paths(
        "/usr/bin/curl", "/usr/bin/wget", shutil.which("node") or "/usr/bin/node", go_client_path, PYTHON,
        "/usr/lib/apt/methods/http", "/usr/lib/chromium/chromium", programs.allowed, natives.allowed,
    )
    return {
        "forward": {
            "endpoints": forward_endpoints(80, "*.raw.test", "origin.test") + forward_endpoints(8080, "*.raw.test")
            + [endpoint for port in range(9101, 9105) for endpoint in forward_endpoints(port, "*.raw.test")],
            "binaries": clients,
        },
        "ruled": {
            "endpoints": [{"host": "*.ruled.test", "port": 80, "rules": [{"allow": {"path": "/public/**"}}]},
                          {"host": "*.read.test", "port": 80, "access": "read-only"}],
            "binaries": clients,
        },
    }


@pytest.fixture(scope="session")
def forward_opa(world, forward_policies):
    """Its questions are about forwarded requests alone."""
    opa = Opa(world, forward_policies, name="forward-opa")
    yield opa
    opa.stop()


@pytest.fixture(scope="session")
def raw_places(world, dns):
    places = Places(world, dns, "raw.test")
    yield places
    places.close()


@pytest.fixture(scope="module")
def forward_warder(world, forward_opa, dns, origins):
    warder = Warder(world, forward_opa.url, timeouts={"upstream_idle": "2s"})
    try:
        yield warder
    finally:
        warder.stop()


@pytest.fixture(scope="session")
def dns(world):
    server = DnsServer(world, ZONE)
    yield server
    server.close()


@pytest.fixture(scope="session")
def site(world):
    """What the TLS origin serves, and the certificate that proves it."""
    pages = world.work / "pages"
    pages.mkdir()
    (pages / "hello").write_text("hello from the origin\n")
    names = ["origin.test", "v4.test", "denied.test", ORIGIN, FORBIDDEN]
    tls, certificate = o.make_tls(world.work, names)
    return SimpleNamespace(pages=pages, tls=tls, certificate=certificate)


@pytest.fixture(scope="session")
def origins(world, site):
    """`allowed[port]` on 11.20.0.9, `forbidden[port]` on 11.20.0.66, and some on other addresses."""
    pages = o.serves_files(site.pages)

    def start(address, port, handler, tls=None):
        return o.Origin(world.origin, address, port, handler, tls)

    made = SimpleNamespace(
        allowed={
            443: start(ORIGIN, 443, pages, site.tls),
            ECHO: start(ORIGIN, ECHO, o.echo),
            SPEAKS_FIRST: start(ORIGIN, SPEAKS_FIRST, o.speaks_first),
            EXCHANGES: start(ORIGIN, EXCHANGES, o.exchanges),
            ANSWERS_LATE: start(ORIGIN, ANSWERS_LATE, o.answers_after_the_end),
        },
        forbidden={
            443: start(FORBIDDEN, 443, pages, site.tls),
            22: start(FORBIDDEN, 22, o.speaks_first),
            ECHO: start(FORBIDDEN, ECHO, o.echo),
        },
        v6=start(ORIGIN6, ECHO, o.echo),
        example=start(PRIVATE, EXAMPLE, o.echo_or_page),
        private=start(PRIVATE, 443, o.echo),
    )
    everything = [*made.allowed.values(), *made.forbidden.values(), made.v6, made.example, made.private]
    yield made
    for server in everything:
        server.close()


@pytest.fixture(autouse=True)
def nothing_reaches_the_forbidden(origins):
    yield
    for server in origins.forbidden.values():
        assert server.connections() == 0, f"a denied request reached {server.address}:{server.port}"


@pytest.fixture(scope="module")
def warder(world, opa, dns, origins):
    """Warder with the rig's ordinary configuration; tests of one file share it."""
    warder = Warder(world, opa.url)
    try:
        yield warder
    finally:
        warder.stop()


@pytest.fixture
def make_warder(world, opa, dns, origins):
    """Warder with a configuration of the test's own: `make_warder(limits={…})`."""
    made = []

    def make(opa_url=None, **changes):
        made.append(Warder(world, opa_url or opa.url, **changes))
        return made[-1]

    yield make
    problems = []
    for warder in made:
        try:
            warder.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, problems


@pytest.fixture
def load():
    """Every processor is busy."""
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count() or 2)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.fixture
def extra_opa(world, policies):
    """A real OPA that the test may stop."""
    opa = Opa(world, policies, name="extra-opa")
    yield opa
    opa.stop()
