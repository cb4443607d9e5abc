"""What Warder finds out under each set of capabilities, and that it says what is missing (docs/privileges.md)."""

import json
import os
import subprocess

import pytest

from conftest import ECHO
from rig.client import Agent
from rig.opa import Opa
from rig.waiting import DEADLINE, eventually
from rig.warder import PROGRAM, Warder
from rig.world import CLIENT_UID, ORIGIN

WARDER_UID = 64000
LOOK = ("SYS_PTRACE", "DAC_READ_SEARCH")
ENTER = ("SYS_ADMIN",)
RECORD = ("BPF", "PERFMON")

ABILITIES = CONNECTORS, COUNTS, DIAG, ENTERING = "connector_record", "reference_count", "sock_diag", "enter_namespaces"


def bounded(capabilities):
    """Another user, with these capabilities and no others."""
    names = [f"+{name.lower()}" for name in capabilities]
    caps = ",".join(["-all", *names])
    flags = [f"--inh-caps={caps}", f"--bounding-set={caps}"] + ([f"--ambient-caps={caps}"] if names else [])
    return ["setpriv", f"--reuid={WARDER_UID}", f"--regid={WARDER_UID}", "--clear-groups", *flags]


@pytest.fixture(scope="module")
def loopback_opa(world, policies):
    """Whoever Warder is, it reaches this one."""
    opa = Opa(world, policies, name="privileges-opa", port=world.port())
    yield opa
    opa.stop()


@pytest.fixture
def start(world, loopback_opa, dns, origins):
    made = []

    def start(prefix):
        folder = world.work / f"admin-{len(os.listdir(world.work))}"
        folder.mkdir()
        os.chown(folder, WARDER_UID, WARDER_UID)
        made.append(Warder(world, loopback_opa.url, prefix=prefix, admin=f"unix:{folder}/admin.sock"))
        made[-1].admin = folder / "admin.sock"
        return made[-1]

    yield start
    for warder in made:
        warder.stop()


def decided(world, warder, program, user=CLIENT_UID, space=None):
    """The record about an honest client of that user."""
    with Agent(world, space or world.box, program, user=user) as agent:
        mark = warder.mark()
        agent.open(warder.address, ORIGIN, ECHO)
        agent.statuses()
        record = warder.decision_about(ORIGIN, mark)
        assert record["pid"] in (agent.pid, None), record
        return record


def missing_at_start(warder):
    told = [record for record in warder.records.since() if record.get("event") == "identity_ability"]
    for record in told:
        assert record["level"] == "warn" and record["missing"] and record["instead"], record
    return {record["name"]: record for record in told}


def gauges(warder):
    prefix = 'warder_identity_ability{name="'
    return {
        name[len(prefix):-2]: bool(value)
        for name, value in warder.samples().items() if name.startswith(prefix)
    }


def doctor(world, warder, prefix):
    done = subprocess.run(
        world.gate.command(*prefix, PROGRAM, "doctor", "--config", warder.config_file, "--json"),
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )
    return json.loads(done.stdout)["findings"]


def grants(findings):
    """The capabilities it says to grant."""
    return {
        word[4:] for finding in findings if finding["check"] == "capabilities"
        for word in finding["to_do"].split() if word.startswith("CAP_")
    }


# Capabilities, abilities that are missing, and what it comes to for a client of another user in a network
# namespace of its own.
SETS = {
    "root": (None, set(), "proven", set(), "sock_diag"),
    "look": (
        LOOK, {CONNECTORS, COUNTS, ENTERING}, "observed", {"connector_unknown", "references_uncounted"}, "procfs",
    ),
    "look and enter": (LOOK + ENTER, set(), "proven", set(), "sock_diag"),
    "look and record": (LOOK + RECORD, {ENTERING}, "observed", {"connector_unknown"}, "procfs"),
    "all": (LOOK + ENTER + RECORD, set(), "proven", set(), "sock_diag"),
}


@pytest.mark.parametrize("name", SETS)
def test_each_set_gives_what_it_can_and_says_the_rest(name, start, world, programs):
    capabilities, missing, assurance, causes, method = SETS[name]
    prefix = [] if capabilities is None else bounded(capabilities)
    warder = start(prefix)

    record = decided(world, warder, programs.allowed)
    assert record["decision"] == "allow" and record["grade"] == "exact", record
    assert record["binary"] == programs.allowed and record["uid"] == CLIENT_UID, record
    assert (record["assurance"], record["method"]) == (assurance, method), record
    # There may be processes that not even root can look into (PID 1 of some containers).
    assert set(record["causes"]) - {"unreadable_processes"} == causes, record
    assert "unreadable_processes" not in record["causes"] or COUNTS in missing, record

    told = missing_at_start(warder)
    assert set(told) == missing
    assert ENTERING not in told or "CAP_SYS_ADMIN" in told[ENTERING]["missing"], told
    assert COUNTS not in told or "CAP_BPF and CAP_PERFMON" in told[COUNTS]["missing"], told
    assert gauges(warder) == {ability: ability not in missing for ability in ABILITIES}
    all_there = [record for record in warder.records.since() if record.get("event") == "identity_abilities"]
    assert len(all_there) == (0 if missing else 1)
    eventually(warder.ready, "ready all the same")

    findings = doctor(world, warder, prefix)
    has = set(LOOK + ENTER + RECORD if capabilities is None else capabilities)
    lacking = set(LOOK + ENTER + RECORD) - has - (set(RECORD) if "SYS_ADMIN" in has else set())
    assert grants(findings) == lacking, findings
    failing = {finding["what"].split()[0] for finding in findings if finding["check"] == "ability" and finding["to_do"]}
    assert failing == missing, findings
    [self] = [finding for finding in findings if finding["check"] == "self"]
    proven_here = COUNTS not in missing
    assert self["result"] == ("ok" if proven_here else "warn"), self


def test_without_entering_a_client_beside_warder_is_still_proven(start, world, programs):
    warder = start(bounded(LOOK + RECORD))
    record = decided(world, warder, programs.allowed, space=world.gate)
    assert (record["assurance"], record["method"], record["scope"]) == ("proven", "sock_diag", "global"), record


def test_without_capabilities_another_users_client_is_unresolved_with_the_reason(start, world, programs):
    warder = start(bounded(()))
    record = decided(world, warder, programs.allowed)
    assert record["decision"] == "deny" and record["grade"] == "unresolved", record
    assert record["identity_reason"] == "owner_unreadable", record
    assert "CAP_SYS_PTRACE is not effective" in record["identity_detail"], record
    assert set(missing_at_start(warder)) == {CONNECTORS, COUNTS, ENTERING}
    findings = doctor(world, warder, bounded(()))
    assert grants(findings) == set(LOOK + ENTER + RECORD)
    assert any(
        finding["result"] == "FAIL" and "its root can't be looked into" in finding["what"]
        and "CAP_SYS_PTRACE" in finding["to_do"] for finding in findings
    ), findings


def test_without_capabilities_a_client_of_its_own_user_is_found(start, world, programs):
    warder = start(bounded(()))
    record = decided(world, warder, programs.allowed, user=WARDER_UID)
    assert record["decision"] == "allow" and record["grade"] == "exact", record
    assert record["binary"] == programs.allowed and record["assurance"] == "observed", record
    assert {"connector_unknown", "references_uncounted", "unreadable_processes"} == set(record["causes"]), record
