"""OPA as the repository ships it (rego/opa.yaml, rego/system): it answers what Warder asks and nothing else,
and its log leaves secrets out."""

import contextlib
import gzip
import json
import os
import secrets
import subprocess
import sys

import pytest

from conftest import ECHO, PYTHON
from rig.client import Agent, RawClient
from rig.forward import Sender
from rig.opa import Opa
from rig.warder import PROGRAM, UnixHttp, Warder
from rig.waiting import eventually
from rig.world import CLIENT_UID, FORBIDDEN, ORIGIN

DECISION = "/v1/data/egress/decision"
MARK = "only-the-policy-has-this"


@pytest.fixture(scope="module")
def opa(world, policies, programs):
    kept = {
        **policies,
        MARK: {"endpoints": [{"host": "*.raw.test", "port": 80, "access": "full"}],
               "binaries": [{"path": PYTHON}, {"path": programs.allowed}]},
    }
    opa = Opa(world, kept, name="kept-safe", port=world.port(), kept_safe=True)
    yield opa
    opa.stop()


@pytest.fixture(scope="module")
def warder(world, opa, dns, origins):
    warder = Warder(world, f"unix://{opa.socket}", identity={"command_line": True}, timeouts={"upstream_idle": "1s"})
    try:
        yield warder
    finally:
        warder.stop()


def ask(opa, method, target, body=None, **headers):
    """Status and body; `target` goes out as it is."""
    connection = UnixHttp(opa.socket)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        # OPA may refuse before it has read all of it.
        with contextlib.suppress(BrokenPipeError):
            connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def question(**more):
    return json.dumps({"input": {"binary": PYTHON, "host": ORIGIN, "port": ECHO, **more}}).encode()


# What is asked.


def test_what_warder_asks_is_answered(opa):
    status, body = ask(opa, "POST", DECISION, question())
    assert status == 200 and json.loads(body)["result"]["allow"] is False
    for document in ("binaries", "problems"):
        status, body = ask(opa, "GET", f"/v1/data/egress/{document}")
        assert status == 200 and "result" in json.loads(body), body
    for target in ("/health", "/health?bundles", "/health?plugins", "/health?bundles&plugins"):
        assert ask(opa, "GET", target)[0] == 200, target


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]
ROUTES = [
    "/", "/v0/data", f"/v0{DECISION[3:]}", "/v1/data", "/v1/data/", "/v1/data/egress", "/v1/data/egress/", DECISION,
    f"{DECISION}/", f"{DECISION}/allow", "/v1/data/egress/binaries", "/v1/data/egress/problems",
    "/v1/data/egress/index", "/v1/data/network_policies", "/v1/data/system", "/v1/data/system/authz/allow",
    "/v1/policies", "/v1/policies/mine", "/v1/policies/egress.rego", "/v1/query", "/v1/query?q=data", "/v1/compile",
    "/v1/compile/egress/decision", "/v1/batch/data/egress/decision", "/v1/config", "/v1/status", "/metrics",
    "/health", "/health/live", "/health/ready", "/debug/pprof/", "/debug/pprof/heap", "/v2/data",
    # The same in other words.
    f"/{DECISION}", "/v1//data/egress/decision", "/v1/data/egress%2Fdecision", "/v1/data/./egress/decision",
    f"{DECISION}/..", f"{DECISION}/../../network_policies", "/health/../v1/policies", "/v1/data/Egress/decision",
    f"{DECISION}?explain=full", f"{DECISION}?metrics", f"{DECISION}?instrument", f"{DECISION}?provenance",
    f"{DECISION}?pretty", f"{DECISION}?input=1", "/v1/data/egress/binaries?explain=full",
    "/health?exclude-plugin=decision_logs",
]
ALLOWED = {("POST", DECISION), ("GET", "/v1/data/egress/binaries"), ("GET", "/v1/data/egress/problems"),
           ("GET", "/health")}
PAYLOAD = {"PUT": b"package mine\nallow := true", "PATCH": b'[{"op": "add", "path": "/x", "value": 1}]',
           "POST": question()}


@pytest.mark.parametrize("method", METHODS)
def test_nothing_else_is_answered(opa, method):
    for route in ROUTES:
        if (method, route) in ALLOWED:
            continue
        status, body = ask(opa, method, route, PAYLOAD.get(method))
        # Two things are refused before the policy is asked.
        expected = 405 if method == "HEAD" else 301 if route != "/" and route.endswith("/") else 401
        assert status == expected, (method, route, status, body)
        assert MARK.encode() not in body and b"result" not in body
    status, body = ask(opa, "POST", DECISION, question())
    assert status == 200 and json.loads(body)["result"]["allow"] is False, "the policy is what it was"


def test_nothing_more_with_a_token(opa):
    for value in ("Bearer admin", "Basic YWRtaW46YWRtaW4=", "Bearer system"):
        assert ask(opa, "GET", "/v1/policies", Authorization=value)[0] == 401


def test_questions_have_a_size(opa):
    """A little above what is allowed, in plain and in compressed form."""
    longest = 1048576
    padding = "x" * (longest - len(question(padding="")))
    assert ask(opa, "POST", DECISION, question(padding=padding))[0] == 200
    assert ask(opa, "POST", DECISION, question(padding=padding + "x"))[0] == 400
    packed = gzip.compress(question(padding=padding + "x" * 100))
    assert ask(opa, "POST", DECISION, packed, Content_Encoding="gzip")[0] == 400


def test_only_its_user_can_open_the_socket(opa, world):
    """Not even from where everybody can see it."""
    shown = world.work / "shown"
    shown.mkdir(exist_ok=True)
    os.link(opa.socket, shown / "opa.sock")
    try:
        assert os.stat(shown / "opa.sock").st_mode & 0o777 == 0o600
        code = ("import socket, sys; s = socket.socket(socket.AF_UNIX)\n"
                "try: s.connect(sys.argv[1])\nexcept PermissionError: print('refused')")
        done = subprocess.run([sys.executable, "-I", "-c", code, shown / "opa.sock"], user=CLIENT_UID, group=CLIENT_UID,
                              extra_groups=[], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("refused\n", "")
    finally:
        os.unlink(shown / "opa.sock")


def test_doctor_finds_it_closed(opa, world, warder):
    """Also where it listens on TCP, with Warder in the same place."""
    config = world.work / "kept-safe.yaml"
    for url, found in ((opa.url, "OPA asks for authorization to change policies (401)"),
                       (f"unix://{opa.socket}", "may not open OPA's socket")):
        config.write_text(json.dumps({**warder.config, "opa": {"url": url, "timeout": "20s"}}))
        done = subprocess.run(world.gate.command(PROGRAM, "doctor", "--json", "--config", config),
                              capture_output=True, text=True)
        said = json.loads(done.stdout)["findings"]
        assert {r["result"] for r in said if r["check"].startswith("opa")} == {"ok"}, said
        assert any(found in r["what"] for r in said), said


# Warder with it.


def test_warder_works_with_it(warder, world, opa, programs):
    eventually(warder.ready, "Warder is ready")
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(ORIGIN, ECHO)
        assert reply.status == 200
        client.send(b"ping")
        assert client.read(4) == b"ping"
    entry = opa.decision(reply.decision_id)
    assert (entry["path"], entry["result"]["allow"]) == ("egress/decision", True)
    with RawClient(world.box, warder.address) as client:
        assert client.connect(FORBIDDEN, 443).status == 403


# The log.


def lines_with(opa, text):
    return [line for line in opa.log.raw if text.encode() in (line if isinstance(line, bytes) else line.encode())]


def test_the_log_has_no_queries(warder, world, opa, raw_places):
    place = raw_places.make()
    secret = secrets.token_hex(16)
    with Sender(world.box, warder.address) as client:
        client.send(f"GET http://{place.host}/x?token=%{ord(secret[0]):02x}{secret[1:]} HTTP/1.1\r\n"
                    f"Host: {place.host}\r\nCookie: session={secret}\r\n\r\n".encode())
        message = client.answer()
        assert message.status == 200
    entry = opa.decision(message.values(b"warder-decision-id")[0].decode())
    assert entry["input"]["request"]["path"] == "/x"
    assert {"/input/request/query", "/input/request/query_raw"} <= set(entry["erased"])
    assert not {"query", "query_raw"} & set(entry["input"]["request"])
    assert not lines_with(opa, secret[1:])
    assert secret[1:].encode() in place.requests()[0].first, "the origin had it"


def test_the_log_has_no_command_lines(warder, world, opa, programs):
    with Agent(world, world.box, programs.allowed) as agent:
        agent.open(warder.address, ORIGIN, ECHO)
        assert agent.statuses() == [200]
    record = warder.records.wait(lambda r: r.get("binary") == programs.allowed, "its decision")
    entry = opa.decision(record["decision_id"])
    assert "/input/identity/processes/0/command_line" in entry["erased"]
    assert "command_line" not in entry["input"]["identity"]["processes"][0]
    assert not lines_with(opa, "agent.py")


def test_the_log_has_two_headers(opa):
    secret = secrets.token_hex(16)
    status, body = ask(opa, "POST", DECISION, question(headers={"cookie": [secret]}, request={"query": secret}),
                       traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", X_Request_Id="r-1",
                       Authorization=f"Bearer {secret}", Cookie=secret)
    assert status == 200
    entry = opa.decision(json.loads(body)["decision_id"])
    assert entry["request_context"]["http"]["headers"] == {
        "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], "x-request-id": ["r-1"]}
    assert set(entry["erased"]) == {"/input/headers", "/input/request/query"}
    assert not lines_with(opa, secret)


def test_an_odd_question_is_logged_too(opa):
    """An error in the mask would lose the entry."""
    for odd in (None, 1, "x", [], {"request": 1}, {"identity": {"processes": [1, None, "x"]}}):
        status, body = ask(opa, "POST", DECISION, json.dumps({"input": odd}).encode())
        assert status == 200
        assert opa.decision(json.loads(body)["decision_id"])["path"] == "egress/decision"
