"""Names that people write into policies: links, directories that are links, hard links; and that none of
them goes to a file that isn't the one under the sandbox's root."""

import contextlib
import subprocess

import pytest

from conftest import ECHO, PYTHON
from rig.client import Agent, run
from rig.opa import Opa
from rig.program import Program
from rig.waiting import eventually
from rig.warder import Warder
from rig.world import BOXES, CLIENT_UID, ORIGIN

BOX = BOXES["box"][0]
NAMES = ["/usr/bin/python3", "/bin/curl", "/usr/bin/git-alias"]


def policy(*paths, **more):
    return {"named": {
        "endpoints": [{"host": ORIGIN, "port": ECHO}],
        "binaries": [{"path": path} for path in paths], **more,
    }}


class Sandbox:
    """A process with a /usr/bin of its own: the host's, and programs that a test puts there."""

    def __init__(self, world, native):
        self.world = world
        script = """
            set -e
            mount -t tmpfs tmpfs "$1"
            mkdir "$1/upper" "$1/work"
            mount -t overlay overlay -o "lowerdir=/usr/bin,upperdir=$1/upper,workdir=$1/work" /usr/bin
            cp "$2" /usr/bin/git-real
            ln /usr/bin/git-real /usr/bin/git-alias
            cp "$2" /usr/bin/git-copy
            cp "$2" /usr/bin/evil
            echo
            exec sleep infinity
        """
        place = world.work / "sandbox-usr"
        place.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            world.box.command("unshare", "--mount", "sh", "-c", script, "sh", place, native),
            stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"\n"
        self.pid = self.process.pid

    def enter(self, *prepare):
        """For `wrap`: into its mount namespace; with `prepare`, into a copy of it changed by those commands,
        as root."""
        inside = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--"]
        if prepare:
            inside += ["unshare", "--mount", "sh", "-c", " && ".join([*prepare, 'exec "$@"']), "sh"]
        return (*inside, "setpriv", f"--reuid={CLIENT_UID}", f"--regid={CLIENT_UID}", "--clear-groups")

    def change(self, *argv):
        subprocess.run(["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--", *argv], check=True)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def sandbox(world, natives):
    sandbox = Sandbox(world, natives.denied)
    yield sandbox
    sandbox.close()


@pytest.fixture
def gate(world, dns, origins, sandbox):
    """Warder before an OPA with these policies; ready."""
    with contextlib.ExitStack() as stack:
        def make(policies, revision=None, **changes):
            opa = Opa(world, policies, name="names-opa", revision=revision, watch=True)
            stack.callback(opa.stop)
            warder = Warder(world, opa.url, identity={"sandboxes": [{"pid": sandbox.pid}]}, **changes)
            stack.callback(warder.stop)
            eventually(lambda: warder.get("/readyz")[0] == 200, "it is ready")
            return opa, warder
        yield make


def ask(warder, world, program, wrap):
    """What a program of helpers/program is told, and what was asked about it."""
    with Program(world, world.box, program, user=None, wrap=wrap) as caller:
        port, = caller.open(warder.address, ORIGIN, ECHO)
        status, = caller.statuses()
    return status, warder.decision_for(f"{BOX}:{port}")


def allowed(warder, world, program, wrap):
    """The same, where denials may be so many that they are summed up."""
    with Program(world, world.box, program, user=None, wrap=wrap) as caller:
        caller.open(warder.address, ORIGIN, ECHO)
        return caller.statuses() == [200]


def names_of(opa, record):
    return opa.decision(record["decision_id"])["input"]["identity"]["processes"][0]["names"]


class TestRealPrograms:
    def test_an_interpreter_by_its_link(self, gate, world, sandbox):
        opa, warder = gate(policy(*NAMES))
        with Agent(world, world.box, "/usr/bin/python3", user=None, wrap=sandbox.enter()) as agent:
            port, = agent.open(warder.address, ORIGIN, ECHO)
            assert agent.statuses() == [200]
        record = warder.decision_for(f"{BOX}:{port}")
        assert record["binary"] == PYTHON
        assert names_of(opa, record) == [PYTHON, "/usr/bin/python3"]

    def test_a_directory_that_is_a_link(self, gate, world, sandbox):
        opa, warder = gate(policy(*NAMES))
        mark = warder.mark()
        ran = run(world, world.box, *sandbox.enter(), "curl", "-sS", "-p", "-m", "30", "-x",
                  f"http://{warder.address[0]}:{warder.port}", f"http://{ORIGIN}:{ECHO}/", user=None)
        record = warder.decision_about(ORIGIN, mark)
        assert (record["decision"], record["binary"]) == ("allow", "/usr/bin/curl"), ran
        assert names_of(opa, record) == ["/usr/bin/curl", "/bin/curl"]

    @pytest.mark.parametrize("program, own", [
        ("/usr/bin/git-alias", "/usr/bin/git-alias"), ("/usr/bin/git-real", "/usr/bin/git-real")])
    def test_a_hard_link(self, gate, world, sandbox, program, own):
        opa, warder = gate(policy(*NAMES))
        status, record = ask(warder, world, program, sandbox.enter())
        assert (status, record["binary"]) == (200, own)
        assert "/usr/bin/git-alias" in names_of(opa, record)


class TestOtherFiles:
    def test_a_copy(self, gate, world, sandbox):
        opa, warder = gate(policy(*NAMES))
        status, record = ask(warder, world, "/usr/bin/git-copy", sandbox.enter())
        assert (status, record["binary"]) == (403, "/usr/bin/git-copy")
        assert names_of(opa, record) == ["/usr/bin/git-copy"]

    @pytest.mark.parametrize("path", ["/usr/bin/git-alias", "/bin/curl", "/usr/bin/python3"])
    def test_the_same_path_in_a_mount_namespace_of_its_own(self, gate, world, sandbox, path):
        opa, warder = gate(policy(*NAMES))
        wrap = sandbox.enter(f"mount --bind /usr/bin/evil $(readlink -f {path})")
        status, record = ask(warder, world, path, wrap)
        assert (status, record["binary"]) == (403, None)
        assert names_of(opa, record) == []

    def test_the_true_file_at_a_path_of_its_own(self, gate, world, sandbox):
        opa, warder = gate(policy(*NAMES))
        wrap = sandbox.enter("mount -t tmpfs tmpfs /mnt", "touch /mnt/x", "mount --bind /usr/bin/git-real /mnt/x")
        status, record = ask(warder, world, "/mnt/x", wrap)
        assert (status, record["binary"]) == (403, None)
        assert names_of(opa, record) == []

    def test_a_link_that_is_made_to_lead_elsewhere(self, gate, world, sandbox):
        _, warder = gate(policy("/usr/bin/agent"))
        sandbox.change("ln", "-s", "git-real", "/usr/bin/agent")
        assert ask(warder, world, "/usr/bin/git-real", sandbox.enter())[0] == 200
        assert ask(warder, world, "/usr/bin/evil", sandbox.enter())[0] == 403
        sandbox.change("ln", "-sfn", "evil", "/usr/bin/agent")
        # Neither does the name stay with the one, nor is it kept from the other.
        assert ask(warder, world, "/usr/bin/git-real", sandbox.enter())[0] == 403
        assert ask(warder, world, "/usr/bin/evil", sandbox.enter())[0] == 200


class TestAnotherPolicy:
    def test_its_names_are_known_at_once(self, gate, world, sandbox):
        """By its revision; `names.refresh` is an hour."""
        opa, warder = gate(policy("/usr/bin/nobody"), "one", names={"refresh": "1h"})
        wrap = sandbox.enter()
        assert not allowed(warder, world, "/usr/bin/git-real", wrap)
        opa.set_policies(policy("/usr/bin/git-alias"), "two")
        eventually(lambda: allowed(warder, world, "/usr/bin/git-real", wrap), "the new name counts")

    def test_without_a_revision_after_a_while(self, gate, world, sandbox):
        opa, warder = gate(policy("/usr/bin/nobody"), names={"refresh": "1s"})
        opa.set_policies(policy("/usr/bin/git-alias"))
        eventually(lambda: allowed(warder, world, "/usr/bin/git-real", sandbox.enter()), "the new name counts")

    def test_an_open_tunnel_is_known_by_the_new_name(self, gate, world, sandbox):
        opa, warder = gate(policy("/usr/bin/git-real"), "one", names={"refresh": "1h"},
                           tunnels={"reauthorize": "1h", "identity_check": "100ms"})
        with Program(world, world.box, "/usr/bin/git-real", user=None, wrap=sandbox.enter()) as caller:
            port, = caller.open(warder.address, ORIGIN, ECHO)
            record = warder.decision_for(f"{BOX}:{port}")
            assert record["decision"] == "allow"
            mark = warder.mark()
            opa.set_policies(policy("/usr/bin/git-alias"), "two")
            again = warder.records.wait(
                lambda r: r.get("request_id") == record["request_id"] and r.get("event") == "decision",
                "that it was decided again", mark)
            assert again["code"] == "reauthorized", again
