"""Where the client's socket is asked for: sandboxes that move, namespaces that nobody configured, and what
was translated on the way."""

import os
import subprocess

import pytest

from conftest import ECHO
from rig.program import Program
from rig.world import BOXES, GATE, ORIGIN

BOX, BOX2, STRANGER = (BOXES[role][0] for role in ("box", "box2", "stranger"))
MOVES = """
import ctypes, os, sys
for line in sys.stdin:
    there = os.open(line.strip(), os.O_RDONLY)
    assert ctypes.CDLL(None).setns(there, 0x40000000) == 0
    print("there", flush=True)
"""


def number(space):
    return os.stat(space.path).st_ino


def decide(warder, world, space, client, program, status):
    with Program(world, space, program) as caller:
        port, = caller.open(warder.address, ORIGIN, ECHO)
        assert caller.statuses() == [status]
        record = warder.decision_for(f"{client}:{port}")
    if status == 200:
        assert record["binary"] == program and record["pid"] == caller.pid
    return record


@pytest.fixture
def mover(world):
    """A process that goes into the network namespace it is told."""
    process = subprocess.Popen(world.box.command("/usr/bin/python3", "-c", MOVES), text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def move(space):
        process.stdin.write(space.path + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "there\n"

    move(world.box)
    yield process.pid, move
    process.kill()
    process.wait()


def test_a_sandbox_that_moves_is_asked_where_it_is(make_warder, world, natives, mover):
    pid, move = mover
    warder = make_warder(identity={"sandboxes": [{"pid": pid}]})
    for space, client, elsewhere, stranger in [
        (world.box, BOX, world.box2, BOX2), (world.box2, BOX2, world.box, BOX), (world.box, BOX, world.box2, BOX2),
    ]:
        move(space)
        record = decide(warder, world, space, client, natives.allowed, 200)
        assert (record["scope"], record["method"]) == (f"pid:{pid}", "sock_diag")
        record = decide(warder, world, elsewhere, stranger, natives.allowed, 403)
        assert record["identity_reason"] == "socket_not_found"


def test_without_the_capability_to_enter_the_tables_are_read(make_warder, world, natives):
    warder = make_warder(prefix=("setpriv", "--inh-caps", "-all", "--bounding-set", "-sys_admin"))
    record = decide(warder, world, world.box, BOX, natives.allowed, 200)
    assert (record["scope"], record["method"]) == (f"pid:{world.anchor('box')}", "procfs")
    assert "not by sock_diag: Operation not permitted" in record["identity_detail"]
    record = decide(warder, world, world.gate, GATE, natives.allowed, 200)
    assert (record["scope"], record["method"]) == ("global", "sock_diag")


@pytest.mark.parametrize("discover", [True, False])
def test_a_namespace_that_nobody_configured(make_warder, world, natives, discover):
    warder = make_warder(identity={"discover": discover})
    decide(warder, world, world.stranger, STRANGER, natives.denied, 403)
    record = decide(warder, world, world.stranger, STRANGER, natives.allowed, 200 if discover else 403)
    if discover:
        assert record["scope"] == f"netns:{number(world.stranger)}"
        assert record["method"] == "sock_diag"
    else:
        assert (record["binary"], record["identity_reason"]) == (None, "socket_not_found")


def test_the_sandbox_and_the_own_namespace_are_not_discovered_again(make_warder, world, natives):
    warder = make_warder(identity={"discover": True})
    decide(warder, world, world.stranger, STRANGER, natives.allowed, 200)
    record = decide(warder, world, world.box, BOX, natives.allowed, 200)
    assert record["scope"] == f"pid:{world.anchor('box')}"
    for space in (world.box, world.gate):
        assert f"netns:{number(space)}" not in record["identity_detail"]
    record = decide(warder, world, world.gate, GATE, natives.allowed, 200)
    assert (record["scope"], record["grade"]) == ("global", "exact")
    # An address of the gate's is looked for in the gate only.
    assert "netns:" not in record["identity_detail"]
    assert "discovered: not searched" in record["identity_detail"]


def test_the_same_pair_in_two_discovered_namespaces_is_nobodys(make_warder, world, natives):
    """The twin has the addresses of the box and of the gate, and is as good as any other namespace."""
    warder = make_warder(identity={"sandboxes": [], "discover": True})
    with world.box.socket() as probe:
        probe.bind((BOX, 0))
        source = probe.getsockname()[1]
    with Program(world, world.twin, natives.allowed) as planted, \
            Program(world, world.box, natives.denied) as caller:
        planted.ask(f"listen {GATE} {warder.port}", f"connect {GATE} {warder.port} 1 {BOX} {source}")
        caller.open(warder.address, ORIGIN, ECHO, source=(BOX, source))
        assert caller.statuses() == [403]
        record = warder.decision_for(f"{BOX}:{source}")
    assert (record["grade"], record["binary"]) == ("ambiguous", None)
    assert sorted(record["holders"]) == sorted([natives.allowed, natives.denied])


@pytest.mark.parametrize("believed", [False, True])
def test_a_namespace_of_a_user_namespace(make_warder, world, natives, believed):
    """Anybody may make one, and in it a socket with the address of a namespace that isn't known yet."""
    warder = make_warder(identity={"discover": True, "discover_user_namespaces": believed})
    with world.stranger.socket() as probe:
        probe.bind((STRANGER, 0))
        source = probe.getsockname()[1]
    script = f'ip link set lo up && ip addr add {GATE} dev lo && ip addr add {STRANGER} dev lo && exec "$@"'
    with Program(world, world.box, natives.allowed, wrap=(
                "unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh")) as planted, \
            Program(world, world.stranger, natives.denied) as caller:
        planted.ask(f"listen {GATE} {warder.port}", f"connect {GATE} {warder.port} 1 {STRANGER} {source}")
        caller.open(warder.address, ORIGIN, ECHO, source=(STRANGER, source))
        assert caller.statuses() == [403]
        record = warder.decision_for(f"{STRANGER}:{source}")
    if believed:
        assert (record["grade"], record["binary"]) == ("ambiguous", None)
    else:
        assert (record["grade"], record["binary"]) == ("exact", natives.denied)
        assert record["scope"] == f"netns:{number(world.stranger)}"


@pytest.fixture
def inner(world):
    """A namespace behind the box, which hides it: what it sends has the box's address."""
    name = f"{world.box.name}-inner"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        world.box.ip("link add to-inner type veth peer name up0 netns " + name, "link set to-inner up",
                     "addr add 10.201.0.1/24 dev to-inner")
        subprocess.run(["ip", "-n", name, "-batch", "-"], check=True, text=True, input="\n".join([
            "link set lo up", "link set up0 up", "addr add 10.201.0.2/24 dev up0",
            "route add default via 10.201.0.1", ""]))
        world.box.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        with world.box.iptables("POSTROUTING", "-s", "10.201.0.0/24", "-j", "MASQUERADE"):
            yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
        world.box.run("sysctl", "-qw", "net.ipv4.ip_forward=0")


def test_a_client_behind_a_sandbox_is_translated(make_warder, world, natives, inner):
    """The sandbox's connection tracking knows of it, but the socket is not one of the sandbox's."""
    warder = make_warder()
    command = ["ip", "netns", "exec", inner, natives.allowed]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        host, port = warder.address
        caller.stdin.write(f"connect {host} {port} 1;head {ORIGIN} {ECHO};statuses\n")
        caller.stdin.flush()
        assert caller.stdout.readline().split()[-1] == "403"
        caller.stdin.close()
        caller.wait()
    record = warder.records.wait(lambda r: r.get("event") == "decision", "what it decided")
    assert (record["grade"], record["identity_reason"]) == ("unresolved", "address_translated")
    assert "10.201.0.2:" in record["identity_detail"]
    assert record["binary"] is None
