"""What operators and clients are told about every refusal."""

import concurrent.futures
import json
import os
import shutil

import pytest

from conftest import ECHO, PYTHON
from rig.client import Agent, RawClient, connect_head, run
from rig.waiting import eventually
from rig.world import BOXES, CLIENT_UID, FORBIDDEN, ORIGIN

BOX = BOXES["box"][0]
KEYS = """ts level event decision code reason binary pid uid host port kind scope method grade assurance
reused decision_id request_id client status identity_us opa_us""".split()


def denied(warder, world, program, host="denied.test", space=None):
    """(pid, local port, record) of an agent whose request is refused."""
    mark = warder.mark()
    with Agent(world, space or world.box, program) as agent:
        port, = agent.open(warder.address, host, 443)
        assert agent.statuses() == [403]
    return agent.pid, port, warder.decision_about(host, mark)


def test_record_of_a_denial_is_about_the_child_that_asked(warder, world, programs, opa):
    pid, port, record = denied(warder, world, programs.denied)
    assert [key for key in KEYS if key not in record] == []
    expected = {
        "event": "decision", "decision": "deny", "code": "denied", "status": 403, "kind": "connect",
        "binary": programs.denied, "pid": pid, "uid": CLIENT_UID, "host": "denied.test", "port": 443,
        "scope": f"pid:{world.anchor('box')}", "grade": "exact", "client": f"{BOX}:{port}",
    }
    assert {key: record[key] for key in expected} == expected
    assert record["reason"] and record["request_id"]
    assert record["identity_us"] > 0 and record["opa_us"] > 0

    entry = opa.decision(record["decision_id"])
    asked = entry["input"]
    assert asked["request_id"] == record["request_id"]
    assert (asked["binary"], asked["host"], asked["port"]) == (programs.denied, "denied.test", 443)
    assert [p["pid"] for p in asked["identity"]["processes"]] == [pid]
    assert asked["client"] == {"address": BOX, "port": port}
    assert entry["result"]["allow"] is False
    assert entry["result"]["reason"] == record["reason"]


def connect_to(host, port):
    return connect_head(host, port).decode(), host, port


NO_HOST = "CONNECT v4.test:443 HTTP/1.1\r\n\r\n"
FORWARD = "GET https://v4.test/ HTTP/1.1\r\nHost: v4.test\r\n\r\n"
ENDLESS = "CONNECT v4.test:443 HTTP/1.1\r\nX: "

# code: status, (what the client sends, host and port in the record), whether OPA was asked, configuration
REFUSALS = {
    "denied": (403, connect_to("denied.test", 443), True, {}),
    "policy_undefined": (403, connect_to("origin.test", 443), True,
                         {"opa": {"path": "/v1/data/systemtest/undefined"}}),
    "address_blocked": (403, connect_to("private.test", 443), True, {}),
    "name_not_found": (502, connect_to("missing.test", 443), True, {}),
    "connection_refused": (502, connect_to("v4.test", 22), True, {}),
    "opa_policy_error": (503, connect_to("origin.test", 443), False,
                         {"opa": {"path": "/v1/data/systemtest/failing"}}),
    "starting": (503, connect_to("v4.test", 443), False,
                 {"opa": {"url": "http://127.0.0.1:1"}, "awaits_opa": False}),
    "bad_request": (400, (NO_HOST, "v4.test", 443), False, {}),
    "use_connect": (400, (FORWARD, "v4.test", 443), False, {}),
    "head_too_large": (431, (ENDLESS + "x" * 70000, "v4.test", 443), False, {}),
    "head_timeout": (408, (ENDLESS, "v4.test", 443), False, {"timeouts": {"head": "1s"}}),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_record_of_every_refusal_names_the_child_that_asked(make_warder, world, code):
    status, (head, host, port), asked, changes = REFUSALS[code]
    warder = make_warder(**changes)
    with Agent(world, world.box, PYTHON) as agent:
        local, = agent.ask("open", to=list(warder.address), head=head, count=1)
        assert agent.statuses() == [status]
    record = warder.records.wait(lambda r: r.get("event") == "decision", "what it decided")
    expected = {
        "code": code, "status": status, "decision": "deny" if status == 403 else "error",
        "binary": PYTHON, "pid": agent.pid, "uid": CLIENT_UID, "scope": f"pid:{world.anchor('box')}",
        "grade": "exact", "client": f"{BOX}:{local}", "host": host, "port": port,
    }
    assert {key: record[key] for key in expected} == expected
    assert record["reason"] and record["request_id"]
    assert bool(record["decision_id"]) == asked


def test_record_of_an_unknown_caller(warder, world, programs, opa):
    _, port, record = denied(warder, world, programs.denied, space=world.stranger)
    assert (record["binary"], record["pid"], record["scope"]) == (None, None, None)
    assert (record["grade"], record["identity_reason"]) == ("unresolved", "socket_not_found")
    assert record["client"].endswith(f":{port}")
    entry = opa.decision(record["decision_id"])
    assert entry["input"]["request_id"] == record["request_id"]
    assert entry["input"]["identity"]["grade"] == "unresolved"


def test_reasons_tell_an_unknown_endpoint_from_a_wrong_binary(warder, world, programs):
    reasons = {
        denied(warder, world, programs.denied, host)[2]["reason"] for host in ("nowhere.test", "v4.test")
    }
    reasons.add(denied(warder, world, programs.allowed, "v4.test", world.stranger)[2]["reason"])
    assert len(reasons) == 3


@pytest.mark.parametrize("explain", ["code", "full"])
def test_answer_to_the_client(make_warder, world, explain):
    warder = make_warder(explain=explain)
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(FORBIDDEN, ECHO)
        assert client.rest() == b""
    assert (reply.status, reply.phrase) == (403, "Forbidden (denied)")
    record = warder.decision(reply.request_id)
    assert reply.decision_id == record["decision_id"]
    assert reply.headers["proxy-status"].startswith("warder;")
    assert reply.headers["content-type"].startswith("application/problem+json")
    problem = reply.problem
    for key in ("binary", "host", "port", "request_id", "decision_id"):
        assert problem[key] == record[key], key
    # The policy's reason names another program.
    assert "somebody-else" in record["reason"]
    assert problem["reason"] == (record["reason"] if explain == "full" else "The policy denies this request.")
    assert ("somebody-else" in str(reply.headers)) == (explain == "full")
    assert problem["binary"] == os.path.realpath("/usr/bin/python3")


def test_allowed_tunnel_has_two_records_with_the_same_ids(warder, world):
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(ORIGIN, ECHO, b"four")
        assert reply.headers["warder-request-id"] and reply.headers["warder-decision-id"]
        assert client.read(4) == b"four"
    opened, closed = warder.decision(reply.request_id), warder.tunnel(reply.request_id)
    assert (opened["decision"], opened["status"], opened["pid"]) == ("allow", 200, os.getpid())
    assert closed["decision_id"] == opened["decision_id"] == reply.decision_id
    assert (closed["bytes_up"], closed["bytes_down"]) == (4, 4)
    assert closed["duration_ms"] >= 0


def test_client_cannot_rewrite_the_policy(world, opa, warder):
    """OPA's API takes policies from whoever reaches its socket."""
    rewrite = ("import http.client, socket, sys\n"
               "c = http.client.HTTPConnection('x'); c.sock = socket.socket(socket.AF_UNIX)\n"
               "c.sock.connect(sys.argv[1])\n"
               "c.request('PUT', '/v1/policies/mine', b'package mine'); print(c.getresponse().status)")
    as_client = run(world, world.box, "/usr/bin/python3", "-c", rewrite, opa.socket)
    assert as_client.code != 0 and b"PermissionError" in as_client.err, str(as_client)
    as_root = run(world, world.box, "/usr/bin/python3", "-c", rewrite, opa.socket, user=None)
    assert as_root.out == b"200\n", str(as_root)


@pytest.fixture
def odd_program(world):
    """A path that a terminal would obey and a line reader would split."""
    path = str(world.work / "bin" / 'evil\x1b[31m\n{"event":"decision"}\x07')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        shutil.copy(os.path.realpath("/usr/bin/python3"), path)
    return path


def test_control_bytes_are_escaped_in_records(warder, world, odd_program):
    before = len(warder.records.raw)
    _, _, record = denied(warder, world, odd_program)
    assert record["binary"] == odd_program
    for line in warder.records.raw[before:]:
        assert not [byte for byte in line[:-1] if byte < 0x20 or byte == 0x7F], line


def test_control_bytes_are_escaped_in_text_records(make_warder, world, odd_program):
    warder = make_warder(log={"format": "text"})
    with Agent(world, world.box, odd_program) as agent:
        agent.open(warder.address, "denied.test", 443)
        assert agent.statuses() == [403]
    lines = eventually(lambda: [line for line in warder.records.raw if b"evil" in line], "the record")
    for line in lines:
        assert not [byte for byte in line[:-1] if byte < 0x20 or byte == 0x7F], line


def test_control_bytes_are_escaped_in_answers(warder, world, odd_program):
    with Agent(world, world.box, odd_program) as agent:
        agent.open(warder.address, "denied.test", 443)
        answer, = agent.ask("answers")
    head, body = (part.encode("latin-1") for part in answer.split("\r\n\r\n", 1))
    assert not [byte for byte in head + body if byte < 0x20 and byte not in b"\r\n"]
    # Not even after JSON is decoded: the reader may be a terminal.
    assert "evil" in json.loads(body)["binary"]
    assert not [letter for letter in json.loads(body)["binary"] if ord(letter) < 0x20]


def test_denials_are_visible_at_the_warn_level(make_warder, world, programs):
    warder = make_warder(log={"level": "warn"})
    _, _, record = denied(warder, world, programs.denied)
    assert record["decision"] == "deny"


def test_repeated_denials_are_summed_up(make_warder, world):
    warder = make_warder(workers=1)
    count = 100

    def status(_):
        with RawClient(world.box, warder.address) as client:
            return client.connect("denied.test", 443).status

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(status, range(count))) == {403}
    with RawClient(world.box, warder.address) as client:
        assert client.connect("other.test", 443).status == 403
    warder.decision_about("other.test")
    warder.stop()
    about = [r for r in warder.records.since() if r.get("host") == "denied.test"]
    told = [r for r in about if r["event"] == "decision"]
    summed_up = [r["count"] for r in about if r["event"] == "repeated"]
    assert told and len(about) < count / 4
    # Nothing is lost: what is not told one by one is told as a number.
    assert len(told) + sum(summed_up) == count
