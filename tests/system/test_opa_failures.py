"""No decision opens nothing: whatever happens to OPA, and everything is well again when it is back."""

import json

import pytest

from conftest import ECHO
from rig.client import RawClient
from rig.opa import Opa
from rig.scripted_opa import ALLOW, Held, ScriptedOpa, answer, raw_answer
from rig.waiting import eventually
from rig.warder import Warder

# Resolves, and the policy allows it: whatever is refused here is refused for want of a decision.
HOST = "v4.test"


def ask(world, warder, host=HOST):
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(host, ECHO, b"x")
        if reply.status == 200:
            assert client.read(1) == b"x"
        return reply


def assert_no_decision(world, warder, origins, dns, code, host=HOST):
    asked = dns.asked()
    with origins.allowed[ECHO].untouched():
        reply = ask(world, warder, host)
        assert reply.status != 200, reply
    assert (reply.status, reply.phrase) == (503, f"Service Unavailable ({code})")
    assert dns.asked() == asked, "a name was looked up without an allow"
    record = warder.decision(reply.request_id)
    assert (record["decision"], record["code"], record["status"]) == ("error", code, 503)
    assert (record["host"], record["port"]) == (host, ECHO)
    assert reply.problem["request_id"] == reply.request_id
    assert reply.headers["proxy-status"].startswith("warder;")


def assert_recovered(world, warder):
    eventually(lambda: ask(world, warder).status == 200, "tunnels open again")


def test_opa_stopped_and_started_again(make_warder, world, origins, dns, extra_opa):
    warder = make_warder(extra_opa.url)
    assert ask(world, warder).status == 200
    extra_opa.stop()
    assert_no_decision(world, warder, origins, dns, "opa_unreachable")
    extra_opa.start()
    assert_recovered(world, warder)


def test_opa_hangs_and_goes_on(make_warder, world, origins, dns, extra_opa):
    warder = make_warder(extra_opa.url, opa={"timeout": "1s"})
    assert_recovered(world, warder)
    extra_opa.freeze()
    assert_no_decision(world, warder, origins, dns, "opa_timeout")
    extra_opa.thaw()
    assert_recovered(world, warder)


def test_opa_over_tcp(make_warder, world, origins, dns, policies):
    opa = Opa(world, policies, name="tcp-opa", port=world.port())
    try:
        warder = make_warder(opa.url)
        assert ask(world, warder).status == 200
        opa.stop()
        assert_no_decision(world, warder, origins, dns, "opa_unreachable")
        opa.start()
        assert_recovered(world, warder)
        warder.stop()
    finally:
        opa.stop()


BIG = raw_answer(b'{"result": {"allow": true, "reason": "' + b"x" * 10_000_000 + b'"}}')
WHOLE = answer({"result": {"allow": True, "reason": "whole"}})

SCRIPTED = {
    "status 500": ("opa_status", answer({"code": "internal_error"}, "500 Internal Server Error")),
    "status 500 that says allow": ("opa_status", answer(ALLOW, "500 Internal Server Error")),
    "status 404": ("opa_status", answer({}, "404 Not Found")),
    "not JSON": ("opa_not_json", raw_answer(b"<html>allow: true</html>")),
    "empty": ("opa_not_json", raw_answer(b"")),
    "two documents": ("opa_not_json", raw_answer(b'{"result": true} {"result": true}')),
    "array": ("opa_bad_answer", raw_answer(b'[{"result": true}]')),
    "result is an array": ("opa_bad_answer", answer({"result": [True]})),
    "result is a text": ("opa_bad_answer", answer({"result": "true"})),
    "allow is a text": ("opa_bad_answer", answer({"result": {"allow": "true"}})),
    "allow is a number": ("opa_bad_answer", answer({"result": {"allow": 1}})),
    "allow twice": ("opa_not_json", raw_answer(b'{"result": {"allow": false, "allow": true}}')),
    "no allow": ("opa_bad_answer", answer({"result": {}})),
    "10 MB": ("opa_too_large", BIG),
    "cut off in the body": ("opa_truncated", WHOLE[:-10]),
    "cut off in the head": ("opa_truncated", WHOLE[:30]),
    "closed without a word": ("opa_truncated", None),
}


@pytest.fixture(scope="module")
def scripted(world, opa, dns, origins):
    """A Warder with an OPA that says what a test puts into `says`."""
    says = {}
    server = ScriptedOpa(world, "scripted", lambda question: says["reply"])
    warder = Warder(world, server.url)
    yield warder, says
    warder.stop()
    server.stop()


@pytest.mark.parametrize("case", SCRIPTED)
def test_answer_of_no_use(scripted, world, origins, dns, case):
    warder, says = scripted
    code, says["reply"] = SCRIPTED[case]
    # A host of its own: repeated refusals of one would be summed up in the records.
    host = f"case{list(SCRIPTED).index(case)}.v4.test"
    assert_no_decision(world, warder, origins, dns, code, host)
    says["reply"] = answer(ALLOW)
    assert ask(world, warder).status == 200


def test_answer_that_never_comes(make_warder, world, origins, dns):
    server = ScriptedOpa(world, "silent", Held)
    warder = make_warder(server.url, opa={"timeout": "1s"})
    try:
        assert_no_decision(world, warder, origins, dns, "opa_timeout")
        server.next_held()
    finally:
        warder.stop()
        server.stop()


@pytest.fixture(scope="module")
def boolean(world, opa, dns, origins):
    warder = Warder(world, opa.url, opa={"path": "/v1/data/systemtest/boolean"})
    yield warder
    warder.stop()


def test_boolean_policy_allows(boolean, world):
    reply = ask(world, boolean)
    assert reply.status == 200
    assert boolean.decision(reply.request_id)["decision"] == "allow"


def test_boolean_policy_denies(boolean, world, origins):
    with origins.allowed[ECHO].untouched():
        reply = ask(world, boolean, "origin.test")
    assert (reply.status, reply.phrase) == (403, "Forbidden (denied)")


@pytest.mark.parametrize("rule, code, status", [
    ("undefined", "policy_undefined", 403),
    ("no/such/document", "starting", 503),
    ("failing", "opa_policy_error", 503),
    ("listed", "opa_bad_answer", 503),
])
def test_policy_of_a_real_opa_that_decides_nothing(make_warder, world, origins, dns, rule, code, status):
    warder = make_warder(opa={"path": f"/v1/data/systemtest/{rule}"}, awaits_opa=code != "starting")
    asked = dns.asked()
    with origins.allowed[ECHO].untouched():
        reply = ask(world, warder, "origin.test")
    phrase = "Forbidden" if status == 403 else "Service Unavailable"
    assert (reply.status, reply.phrase) == (status, f"{phrase} ({code})")
    assert dns.asked() == asked
    record = warder.decision(reply.request_id)
    assert (record["code"], record["status"]) == (code, status)
    assert record["decision"] == ("deny" if status == 403 else "error")
    if code != "opa_policy_error":
        return
    told = warder.records.wait(lambda r: r.get("event") == code, "what is wrong with the policy")
    assert told["level"] == "error" and "eval_conflict_error" in told["detail"]
    assert warder.samples()[f'warder_opa_questions_total{{outcome="{code}"}}'] == 1


def test_opa_is_not_there_at_the_start(make_warder, world, origins, dns, policies):
    later = Opa(world, policies, name="later")
    later.stop()
    warder = make_warder(later.url, awaits_opa=False)
    assert not warder.ready()
    assert_no_decision(world, warder, origins, dns, "starting")
    waiting = warder.records.wait(lambda r: r.get("event") == "gate_waiting", "what it waits for")
    assert "opa_unreachable" in waiting["opa"]
    later.start()
    try:
        assert_recovered(world, warder)
        eventually(warder.ready, "ready once OPA answers")
        warder.stop()
    finally:
        later.stop()


def test_the_first_request_waits_for_the_paths_of_the_policy(make_warder, world, origins, dns):
    """A program that it calls by one of them would be unknown."""
    binaries = "/v1/data/egress/binaries"
    server = ScriptedOpa(world, "nameless", lambda question: answer(ALLOW), {binaries: None})
    warder = make_warder(server.url, awaits_opa=False)
    try:
        waiting = warder.records.wait(lambda r: r.get("event") == "gate_waiting", "what it waits for")
        assert waiting["policy_names"].startswith("not read yet"), waiting
        assert_no_decision(world, warder, origins, dns, "starting")
        server.documents[binaries] = answer({"result": ["/usr/bin/python3"]})
        warder.records.wait(lambda r: r.get("event") == "gate_open", "that it is open")
        assert ask(world, warder).status == 200
        assert warder.samples()['warder_policy_paths{state="looked_up"}'] == 1
    finally:
        warder.stop()
        server.stop()


def test_denials_say_why_in_json(warder, world):
    with RawClient(world.box, warder.address) as client:
        reply = client.connect("denied.test", ECHO)
    assert reply.headers["content-type"].startswith("application/problem+json")
    assert int(reply.headers["content-length"]) == len(reply.body)
    json.loads(reply.body)
