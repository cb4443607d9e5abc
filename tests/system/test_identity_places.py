"""Where a caller may be, and what may stand in the way of seeing it: other namespaces, other addresses,
numbers used again, a /proc that hides."""

import contextlib
import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from conftest import ECHO, PYTHON, RACES
from rig.client import Agent
from rig.program import Program
from rig.warder import Warder
from rig.world import BOXES, GATE, ORIGIN

BOX, STRANGER = BOXES["box"][0], BOXES["stranger"][0]
PRIVATE_PROC = ("unshare", "--mount", "sh", "-c", 'mount -t proc -o "$0" proc /proc && exec "$@"')


def without(*capabilities):
    return ("setpriv", "--inh-caps", "-all", "--bounding-set", ",".join(f"-{c}" for c in capabilities))


def free_port(space, address):
    with space.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Planted(Program):
    """An allowed program that holds the same address pair in a user and network namespace of its own."""

    def __init__(self, world, natives, warder, client, port):
        script = f"ip link set lo up && ip addr add {GATE} dev lo && ip addr add {client} dev lo && exec \"$@\""
        super().__init__(world, world.box, natives.allowed, wrap=(
            "unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh"))
        self.ask(f"listen {GATE} {warder.port}", f"connect {GATE} {warder.port} 1 {client} {port}")


@pytest.mark.parametrize("settings", [
    {}, {"discover": True}, {"discover": True, "discover_user_namespaces": True},
], ids=["sandboxes only", "discovery", "discovery of everything"])
class TestPlantedTuple:
    def test_client_gone(self, make_warder, world, natives, settings):
        warder = make_warder(identity=settings)
        port = free_port(world.box, BOX)
        with Planted(world, natives, warder, BOX, port), \
                Program(world, world.box, natives.denied) as attacker:
            with warder.frozen():
                attacker.open(warder.address, ORIGIN, ECHO, source=(BOX, port), then=["close"])
            record = warder.decision_for(f"{BOX}:{port}")
        assert record["binary"] is None
        assert (record["grade"], record["identity_reason"]) == ("unresolved", "client_gone")

    def test_client_there(self, make_warder, world, natives, settings):
        warder = make_warder(identity=settings)
        port = free_port(world.box, BOX)
        with Planted(world, natives, warder, BOX, port), \
                Program(world, world.box, natives.denied) as attacker:
            attacker.open(warder.address, ORIGIN, ECHO, source=(BOX, port))
            assert attacker.statuses() == [403]
            record = warder.decision_for(f"{BOX}:{port}")
        if settings.get("discover_user_namespaces"):
            assert record["binary"] in (None, natives.denied)
        else:
            assert (record["binary"], record["grade"]) == (natives.denied, "exact")

    def test_client_nobody_named(self, make_warder, world, natives, settings):
        warder = make_warder(identity=settings)
        port = free_port(world.stranger, STRANGER)
        with Planted(world, natives, warder, STRANGER, port), \
                Program(world, world.stranger, natives.denied) as attacker:
            attacker.open(warder.address, ORIGIN, ECHO, source=(STRANGER, port))
            assert attacker.statuses() == [403]
            record = warder.decision_for(f"{STRANGER}:{port}")
        assert record["binary"] in (None, natives.denied)


def test_source_port_of_another_loopback_client(make_warder, world, natives):
    """127.0.0.1:P is one program and 127.0.0.2:P another."""
    port = world.port()
    warder = make_warder(listen=[f"127.0.0.1:{port}"])
    source = free_port(world.gate, "127.0.0.1")
    with Program(world, world.gate, natives.allowed) as allowed, \
            Program(world, world.gate, natives.denied) as denied:
        allowed.open(("127.0.0.1", port), "other.v4.test", ECHO, source=("127.0.0.2", source))
        denied.open(("127.0.0.1", port), ORIGIN, ECHO, source=("127.0.0.1", source))
        assert (denied.statuses(), allowed.statuses()) == ([403], [200])
    for program, address in ((natives.allowed, "127.0.0.2"), (natives.denied, "127.0.0.1")):
        record = warder.decision_for(f"{address}:{source}")
        assert (record["binary"], record["grade"]) == (program, "exact")


class TestWhatCantBeSeen:
    @staticmethod
    def ask(warder, world, program, **more):
        with Program(world, world.box, program, **more) as caller:
            port, = caller.open(warder.address, ORIGIN, ECHO)
            return caller.statuses()[0], warder.decision_for(f"{BOX}:{port}")

    def test_hidepid_does_not_hide_from_root(self, make_warder, world, natives):
        warder = make_warder(prefix=(*PRIVATE_PROC, "hidepid=invisible"))
        status, record = self.ask(warder, world, natives.allowed)
        assert (status, record["binary"], record["grade"]) == (200, natives.allowed, "exact")

    @pytest.mark.parametrize("hide", ["off", "noaccess", "invisible"])
    def test_without_the_capability_to_look(self, make_warder, world, natives, hide):
        warder = make_warder(prefix=(*PRIVATE_PROC, f"hidepid={hide}", *without("sys_ptrace")))
        status, record = self.ask(warder, world, natives.allowed)
        assert (status, record["binary"], record["grade"]) == (403, None, "unresolved")
        assert record["identity_reason"] in ("owner_unreadable", "owner_not_found")
        assert "CAP_SYS_PTRACE" in record["identity_detail"]

    def test_a_holder_that_can_t_be_looked_into(self, make_warder, world, natives):
        """The allowed program is root without capabilities, so that Warder may look into it."""
        warder = make_warder(prefix=without("sys_ptrace"))
        with Program(world, world.box, natives.allowed, user=None, wrap=without("sys_ptrace", "sys_admin")) \
                as victim, Program(world, world.box, natives.denied) as taker:
            taker.ask(f"wait-at channel-{taker.pid}")
            with warder.frozen():
                port, = victim.open(warder.address, ORIGIN, ECHO, then=[f"give channel-{taker.pid} keep"])
                taker.ask("take")
            record = warder.decision_for(f"{BOX}:{port}")
            victim.ask("close")
            status, = taker.statuses()
        assert record["assurance"] != "proven"
        if record["binary"]:
            assert "unreadable_processes" in record["causes"]
        assert record["binary"] in (None, natives.allowed)
        assert status == (403 if record["binary"] is None else 200)


class SmallPidNamespace:
    """A PID namespace with few numbers, which are soon used again."""

    def __init__(self):
        script = "echo 400 > /proc/sys/kernel/pid_max; trap '' CHLD; echo; exec sleep infinity"
        self._process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.readline() == b"\n"
        first = child_of(self._process.pid)
        self.enter = ("nsenter", "--target", str(first), "--pid", "--mount", "--")

    def next_is(self, pid):
        subprocess.run([*self.enter, "sh", "-c", f"echo {pid - 1} > /proc/sys/kernel/ns_last_pid"], check=True)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def child_of(pid):
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


class NestedWarder(Warder):
    """In that namespace. `nsenter` stays before it."""

    def __init__(self, world, opa_url, namespace, **changes):
        super().__init__(world, opa_url, prefix=namespace.enter, **changes)
        self.pid = child_of(self.process.pid)

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)


class TestPidReuse:
    PID = 350

    @pytest.fixture
    def namespace(self):
        namespace = SmallPidNamespace()
        yield namespace
        namespace.close()

    @pytest.fixture
    def nested(self, world, opa, dns, origins, namespace):
        warder = NestedWarder(world, opa.url, namespace, identity={"sandboxes": []})
        # All its threads have their numbers once it has done everything.
        with Agent(world, world.gate, PYTHON, user=None) as agent:
            agent.open(warder.address, "first.v4.test", ECHO)
            agent.statuses()
        yield warder
        warder.stop()

    def program(self, world, namespace, path, pid):
        """With that number; the threads of others may take it just before."""
        for _ in range(50):
            namespace.next_is(pid)
            program = Program(world, world.gate, path, user=None, wrap=namespace.enter)
            got, = program.ask("pid")
            if int(got) == pid:
                return program
            with program:
                program.end()
        raise AssertionError(f"nobody got number {pid}, but {got}")

    def test_another_program_with_the_number(self, world, nested, namespace, natives):
        """Nothing is remembered of a process but with its start."""
        for number in range(10):
            path = (natives.allowed, natives.denied)[number % 2]
            with self.program(world, namespace, path, self.PID) as caller:
                port, = caller.open(nested.address, f"p{number}.v4.test", ECHO)
                assert caller.statuses() == [200 if path == natives.allowed else 403]
                caller.end()
            record = nested.decision_for(f"{GATE}:{port}")
            assert (record["binary"], record["pid"], record["grade"]) == (path, self.PID, "exact")

    def test_number_of_the_connector(self, world, nested, namespace, natives):
        """Who connected has ended; an allowed program has its number, and another the connection."""
        with self.program(world, namespace, natives.allowed, self.PID + 10) as taker:
            taker.ask(f"wait-at channel-{taker.pid}")
            with nested.frozen():
                with self.program(world, namespace, natives.denied, self.PID) as attacker:
                    port, = attacker.open(nested.address, ORIGIN, ECHO, then=[f"give channel-{taker.pid} close"])
                    attacker.end()
                taker.ask("take")
                other = self.program(world, namespace, natives.allowed, self.PID)
            with other:
                record = nested.decision_for(f"{GATE}:{port}")
                assert (record["assurance"], record["causes"]) == ("proven", []), record
                assert (taker.statuses(), record["binary"], record["grade"]) == ([403], None, "ambiguous")
                assert record["holders"].count(natives.allowed) == 1

    def test_number_of_the_connector_racing(self, world, nested, namespace, natives):
        """Warder looks while the number goes from the one program to the other."""
        for number in range(RACES):
            with self.program(world, namespace, natives.denied, self.PID + 10) as taker, \
                    contextlib.ExitStack() as frozen:
                taker.ask(f"wait-at channel-{taker.pid}")
                frozen.enter_context(nested.frozen())
                with self.program(world, namespace, natives.denied, self.PID) as attacker:
                    port, = attacker.open(nested.address, f"race{number}.v4.test", ECHO,
                                          then=[f"give channel-{taker.pid} close"])
                    taker.ask("take")
                    thaw = threading.Timer(random.uniform(0, 0.1), frozen.close)
                    thaw.start()
                    attacker.end()
                with self.program(world, namespace, natives.allowed, self.PID) as other:
                    thaw.join()
                    record = nested.decision_for(f"{GATE}:{port}")
                    assert record["binary"] != natives.allowed, record
                    assert taker.statuses() == [403]
                    other.end()
                taker.end()
