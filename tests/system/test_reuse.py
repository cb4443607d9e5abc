"""An answer with a `max_age` holds again for the same question, until the policy has another revision."""

import itertools
import subprocess

import pytest

from conftest import ECHO, PYTHON, endpoints, paths
from rig.client import Agent
from rig.opa import Opa
from rig.waiting import eventually
from rig.warder import http_get

HOST = "v4.test"


def lasting(host):
    return {"lasting": {"max_age": 3600, "endpoints": endpoints([host], [ECHO]), "binaries": paths(PYTHON)}}


@pytest.fixture
def agent(world, dns, origins):
    # Not the program that has the origins: what Warder carries there makes that one a relay.
    with Agent(world, world.box, PYTHON) as agent:
        yield agent


@pytest.fixture
def opa_with(world):
    made = []

    def make(revision, **more):
        made.append(Opa(world, lasting(HOST), name=f"lasting-{revision}", revision=revision, watch=True, **more))
        return made[-1]

    yield make
    for opa in made:
        opa.close()


def decided(warder, agent):
    """The record of one request."""
    mark = warder.mark()
    agent.open(warder.address, HOST, ECHO)
    status, = agent.statuses()
    record = warder.decision_about(HOST, mark)
    assert record["status"] == status
    return record


def test_an_answer_holds_until_the_revision_changes(make_warder, agent, opa_with):
    opa = opa_with("one")
    warder = make_warder(opa.url, workers=1, opa={"max_age": "1h", "probe": "500ms"})
    first, second = decided(warder, agent), decided(warder, agent)
    assert (first["status"], first["reused"]) == (200, False)
    assert (second["status"], second["reused"]) == (200, True)
    assert second["decision_id"] == first["decision_id"]
    assert warder.samples()["warder_answers_reused_total"] == 1

    opa.set_policies(lasting("origin.test"), "two")
    denied = eventually(lambda: next((r for r in [decided(warder, agent)] if r["status"] == 403), None), "a denial")
    opa.decision(denied["decision_id"])
    asked = {entry.get("input", {}).get("request_id") for entry in opa.log.since()}
    assert {first["request_id"], denied["request_id"]} <= asked
    assert second["request_id"] not in asked


def test_one_workers_answer_ends_those_of_all(make_warder, agent, opa_with):
    """The probe is long in coming: only the answer to another question can tell of the new policy."""
    opa = opa_with("one")
    warder = make_warder(opa.url, workers=4, opa={"max_age": "1h", "probe": "10m"})
    # The kernel chooses the worker of each connection: more than enough of them for each to have an answer.
    assert all(decided(warder, agent)["status"] == 200 for _ in range(40))
    opa.set_policies(lasting("origin.test"), "two")

    def opened(host):
        agent.open(warder.address, host, ECHO)
        return agent.statuses() == [200]

    def revision_of(host):
        mark = warder.mark()
        assert not opened(host)
        return opa.decision(warder.decision_about(host, mark)["decision_id"])["result"]["revision"]

    others = (f"other-{number}.test" for number in itertools.count())
    eventually(lambda: revision_of(next(others)) == "two" or None, "an answer of the new policy")
    # Well before the probe. The others' news is a matter of microseconds, but for a busy machine.
    eventually(lambda: not any([opened(HOST) for _ in range(20)]) or None, "no answer of the old policy")
    assert not any([opened(HOST) for _ in range(40)])


def test_no_answer_holds_where_the_policy_has_no_revision(make_warder, agent, opa_with):
    opa = opa_with(None)
    warder = make_warder(opa.url, workers=1, opa={"max_age": "1h"})
    for record in (decided(warder, agent), decided(warder, agent)):
        assert (record["status"], record["reused"]) == (200, False)
        assert opa.decision(record["decision_id"])["input"]["request_id"] == record["request_id"]


def test_the_revision_of_a_bundle_without_the_policies_is_not_theirs(world, make_warder, agent, opa_with, tmp_path):
    """OPA has it at data.system.bundles beside policies that it reads from files."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/other.rego").write_text("package other\n\nanswer := 1\n")
    (tmp_path / "other/.manifest").write_text('{"roots": ["other"]}')
    made = world.work / "other.tar.gz"
    subprocess.run(["opa", "build", "--bundle", tmp_path / "other", "--revision", "7", "--output", made], check=True)
    opa = opa_with(None, settings=[f"bundles.other.resource=file://{made}"])
    eventually(lambda: '"revision":"7"' in http_get(opa.socket, "/v1/data/system/bundles")[1], "the bundle is loaded")
    warder = make_warder(opa.url, workers=1, opa={"max_age": "1h"})
    for record in (decided(warder, agent), decided(warder, agent)):
        assert (record["status"], record["reused"]) == (200, False)
        assert opa.decision(record["decision_id"])["result"]["revision"] is None
