"""Programs that would pass for another one. Each attack is made ATTACKS times and must never work."""

import contextlib
import os

import pytest

from conftest import ECHO, EXAMPLE
from rig.client import Agent, run
from rig.scripted_opa import ALLOW, Held, ScriptedOpa, answer
from rig.warder import Warder
from rig.world import ORIGIN, PRIVATE

ATTACKS = int(os.environ.get("WARDER_ATTACKS", "100"))
# So many connections one attacking process makes: all of them are at stake in one change of program.
EACH = 10


def groups():
    """Sizes of the attacking processes' shares, ATTACKS in all."""
    return [min(EACH, ATTACKS - done) for done in range(0, ATTACKS, EACH)]


@pytest.fixture(scope="module")
def held(world, opa, dns, origins):
    """A Warder whose OPA allows everything, when the test lets it."""
    server = ScriptedOpa(world, "held", Held)
    warder = Warder(world, server.url, opa={"connections": 64, "timeout": "60s"})
    yield warder, server
    warder.stop()
    server.stop()


class Attack:
    """Connections of one agent whose questions wait at OPA."""

    def __init__(self, held, agent, count):
        self.warder, server = held
        self.agent = agent
        ports = set(agent.open(self.warder.address, ORIGIN, ECHO, count))
        self._questions = [server.next_held() for _ in range(count)]
        assert {q.question["client"]["port"] for q in self._questions} == ports
        assert {q.question["binary"] for q in self._questions} == {agent.program}

    def let_through(self):
        for question in self._questions:
            question.release(answer(ALLOW))


@contextlib.contextmanager
def all_raced(warder, count):
    """The block's `count` requests were refused because the caller changed, not for another reason."""
    before = warder.decisions()
    yield
    after = warder.decisions()
    changed = {code: after[code] - before.get(code, 0) for code in after}
    assert {code: n for code, n in changed.items() if n} == {"client_raced": count}


def test_without_an_attack_the_tunnel_opens(held, world, programs):
    """Otherwise the attacks below would prove nothing."""
    with Agent(world, world.box, programs.allowed) as agent:
        attack = Attack(held, agent, EACH)
        attack.let_through()
        assert agent.statuses("hello") == [200] * EACH


def test_exec_between_accept_and_answer(held, world, programs, origins):
    warder, _ = held
    with origins.allowed[ECHO].untouched():
        for count in groups():
            with all_raced(warder, count), Agent(world, world.box, programs.allowed) as agent:
                attack = Attack(held, agent, count)
                assert agent.ask("become", program=programs.denied) == programs.denied
                attack.let_through()
                assert agent.statuses("the secret") == [403] * count


def test_exec_of_an_allowed_program_after_the_question(held, world, programs, origins):
    """The other way round: the connection is made by the wrong program, which then becomes the right
    one. OPA here allows everything, so it is the change alone that is refused."""
    with origins.allowed[ECHO].untouched():
        with Agent(world, world.box, programs.denied) as agent:
            attack = Attack(held, agent, EACH)
            agent.ask("become", program=programs.allowed)
            attack.let_through()
            assert agent.statuses("the secret") == [403] * EACH


def test_descriptor_inherited_by_another_program(held, world, programs, origins):
    warder, _ = held
    with origins.allowed[ECHO].untouched():
        for count in groups():
            with all_raced(warder, count), Agent(world, world.box, programs.allowed) as agent:
                attack = Attack(held, agent, count)
                agent.ask("spawn", argv=["/usr/bin/cat"])
                attack.let_through()
                assert agent.statuses("the secret") == [403] * count


@pytest.mark.parametrize("keeps", [True, False], ids=["giver keeps its own", "giver closes its own"])
def test_descriptor_sent_to_another_program(held, world, programs, origins, keeps):
    warder, _ = held
    with origins.allowed[ECHO].untouched(), Agent(world, world.box, programs.denied) as taker:
        channel = str(world.home / f"channel-{taker.pid}")
        taker.ask("wait_at", path=channel)
        for count in groups():
            with all_raced(warder, count), Agent(world, world.box, programs.allowed) as giver:
                attack = Attack(held, giver, count)
                giver.ask("give", path=channel, close=not keeps)
                assert taker.ask("take") == count
                attack.let_through()
                assert taker.statuses("the secret") == [403] * count


class TestBindMount:
    """In a user and mount namespace of his own anybody may mount his program over /usr/bin/curl."""

    @staticmethod
    def agent(world, programs):
        script = 'mount --bind "$0" /usr/bin/curl && exec /usr/bin/curl "$@"'
        return Agent(world, world.box, programs.denied, wrap=(
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script,
        ))

    def test_the_kernel_calls_it_curl(self, world, programs):
        with self.agent(world, programs) as agent:
            assert os.readlink(f"/proc/{agent.pid}/exe") == "/usr/bin/curl"

    def test_the_policy_does_not(self, warder, world, programs, opa, origins):
        mark = warder.mark()
        with origins.allowed[ECHO].untouched():
            for count in groups():
                with self.agent(world, programs) as agent:
                    agent.open(warder.address, ORIGIN, ECHO, count)
                    assert agent.statuses("the secret") == [403] * count
        record = warder.decision_about(ORIGIN, mark)
        assert record["binary"] is None
        assert "alien_path" in record["causes"]
        assert record["assurance"] == "suspect"
        asked = opa.decision(record["decision_id"])["input"]
        assert asked["binary"] is None
        process, = asked["identity"]["processes"]
        assert (process["path"], process["binary"]) == ("/usr/bin/curl", None)

    def test_the_real_curl_beside_it_is_itself(self, warder, world, programs):
        """The attack changes nothing for others."""
        with self.agent(world, programs):
            mark = warder.mark()
            ran = run(world, world.box, "curl", "-sS", "-p", "-x", "http://%s:%d" % warder.address,
                      "-m", "60", f"http://{PRIVATE}:{EXAMPLE}/")
            record = warder.decision_about(PRIVATE, mark)
        assert (record["binary"], record["decision"]) == ("/usr/bin/curl", "allow"), str(ran)
