"""Policies that limit single requests: what the gate lets through, byte for byte, and what it says about
the rest. The requests are forwarded ones; OPA and its policy package are the real ones."""

from contextlib import contextmanager

import pytest

from conftest import PYTHON
from rig.client import RawClient
from rig.opa import Opa
from rig.origin import Origin
from rig.warder import Warder
from rig.world import ORIGIN

PORT = 8088
# An origin's connection that nobody uses is soon given back.
SETTINGS = {"timeouts": {"upstream_idle": "1s"}, "explain": "full"}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def endpoint(name, **limits):
    return {"host": f"{name}.v4.test", "port": PORT, **limits}


def policy(*endpoints, programs=(PYTHON,), **more):
    return {"endpoints": list(endpoints), "binaries": [{"path": path} for path in programs], **more}


POLICIES = {
    "limits": policy(
        endpoint("plain"),
        endpoint("read", access="read-only"),
        endpoint("write", access="read-write"),
        endpoint("rules", rules=[
            {"allow": {"method": "GET", "path": "/api/**"}},
            {"allow": {"method": "*", "path": "/items/*/parts"}},
            {"deny": {"path": "/api/admin/**"}},
        ]),
        endpoint("nodelete", rules=[{"deny": {"method": "DELETE"}}]),
        endpoint("wrong", access="readonly"),
    ),
}


class Requests:
    """An origin's handler that keeps the bytes of every request."""

    def __init__(self):
        self.heads = []
        self.bodies = []

    def __call__(self, connection):
        stream = connection.makefile("rb")
        while True:
            lines = []
            while not lines or lines[-1] not in (b"\r\n", b""):
                lines.append(stream.readline())
            if lines[-1] == b"":
                return
            self.heads.append(b"".join(lines).decode())
            lengths = [line.split(b":")[1] for line in lines if line.lower().startswith(b"content-length:")]
            self.bodies.append(stream.read(int(lengths[0])) if lengths else b"")
            method = lines[0].split(b" ")[0]
            connection.sendall(ANSWER[:-2] if method == b"HEAD" else ANSWER)

    def lines(self):
        return [head.split("\r\n")[0] for head in self.heads]

    @contextmanager
    def gets(self, *lines):
        """Exactly these request lines while the block runs."""
        before = len(self.heads)
        yield
        assert self.lines()[before:] == list(lines)


@pytest.fixture(scope="module")
def requests(world):
    requests = Requests()
    origin = Origin(world.origin, ORIGIN, PORT, requests)
    yield requests
    origin.close()


@pytest.fixture(scope="module")
def opa(world):
    opa = Opa(world, POLICIES, name="forward-policy")
    yield opa
    opa.stop()


@pytest.fixture(scope="module")
def warder(world, opa, dns, origins):
    warder = Warder(world, opa.url, **SETTINGS)
    try:
        yield warder
    finally:
        warder.stop()


def request_head(method, host, target, *headers, body=b""):
    lines = [f"{method} http://{host}:{PORT}{target} HTTP/1.1", f"Host: {host}:{PORT}", *headers]
    if body or method in ("POST", "PUT", "PATCH", "DELETE"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(client, method, name, target, *headers, body=b""):
    """One request on `client`; a 200 is the origin's."""
    client.send(request_head(method, f"{name}.v4.test", target, *headers, body=body))
    reply = client.reply()
    if reply.status == 200:
        assert method == "HEAD" or client.read(2) == b"ok"
    return reply


def ask(world, warder, method, name, target, *headers, body=b""):
    """The same on a connection of its own."""
    with RawClient(world.box, warder.address) as client:
        return exchange(client, method, name, target, *headers, body=body)


def refused(reply, *parts):
    assert reply.status == 403, reply
    for part in parts:
        assert part in reply.problem["reason"], reply.problem
    return reply


ACCESS = {
    "read": ("GET", "HEAD", "OPTIONS"),
    "write": ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"),
}


@pytest.mark.parametrize("name", ACCESS)
def test_access_is_about_methods(world, warder, requests, name):
    for method in ACCESS["write"]:
        if method in ACCESS[name]:
            with requests.gets(f"{method} /things HTTP/1.1"):
                assert ask(world, warder, method, name, "/things").status == 200
        else:
            with requests.gets():
                reply = ask(world, warder, method, name, "/things", body=b"x")
            refused(reply, f"policy limits gives {PYTHON} read-only access", f"which {method} is not part of")


def test_opa_is_asked_about_each_request_as_it_is_sent(world, warder, opa, requests):
    target = "/%7Ea/%c3%a9/./x;y=1?q=%61%2f"
    with requests.gets(f"GET {target} HTTP/1.1"):
        reply = ask(world, warder, "GET", "plain", target)
    asked, = opa.decisions_for(reply.request_id)
    assert asked["input"]["request"] == {
        "kind": "forward", "method": "GET", "scheme": "http",
        "path": "/~a/%C3%A9/./x;y=1", "path_raw": "/%7Ea/%c3%a9/./x;y=1",
        "query": "q=a%2F", "query_raw": "q=%61%2f", "doubts": ["dot_segment", "path_parameter"],
    }
    assert asked["result"]["allow"] is True
    record = warder.decision(reply.request_id)
    assert (record["kind"], record["policy"], record["reused"]) == ("forward", "limits", False)


RULES = [
    ("GET", "/api/", 200),
    ("GET", "/api/v1/x?q=/api/admin/x", 200),
    ("GET", "/%61pi/v1", 200),
    ("PUT", "/items/1/parts", 200),
    ("POST", "/api/v1", 403),
    ("GET", "/api", 403),
    ("GET", "/", 403),
    ("GET", "", 403),
    ("OPTIONS", "", 403),
    ("GET", "/API/v1", 403),
    ("GET", "/items/1/2/parts", 403),
    ("GET", "/api/admin/users", 403),
    ("GET", "/api/%61dmin/users", 403),
]


@pytest.mark.parametrize("method, target, status", RULES)
def test_rules_are_about_methods_and_paths(world, warder, requests, method, target, status):
    with requests.gets(*([f"{method} {target} HTTP/1.1"] if status == 200 else [])):
        reply = ask(world, warder, method, "rules", target)
    assert reply.status == status, reply
    if status == 403:
        denies = "admin" in target or "%61dmin" in target
        refused(reply, f"policy limits {'denies' if denies else 'has no rule that allows'} {PYTHON}")


def test_two_requests_in_one_packet_are_two_decisions(world, warder, requests):
    host = "rules.v4.test"
    with RawClient(world.box, warder.address) as client, requests.gets("GET /api/a HTTP/1.1"):
        client.send(request_head("GET", host, "/api/a") + request_head("GET", host, "/api/admin/a"))
        assert client.reply().status == 200
        assert client.read(2) == b"ok"
        refused(client.reply(), "denies")


def test_a_rule_that_denies_one_method_leaves_the_rest(world, warder, requests):
    with requests.gets("POST /a HTTP/1.1"):
        assert ask(world, warder, "POST", "nodelete", "/a", body=b"body").status == 200
        refused(ask(world, warder, "DELETE", "nodelete", "/a"), "policy limits denies")
    assert requests.bodies[-1] == b"body"


DOUBTS = {
    "/api/a%2Fb": "encoded_slash",
    "/api/a%5Cb": "encoded_backslash",
    "/api/a%00": "encoded_nul",
    "/api/a%0a": "encoded_control",
    "/api/a%3Fb": "encoded_question_mark",
    "/api/a%23b": "encoded_number_sign",
    "/api/%2561dmin/x": "encoded_percent",
    "/api/../admin": "dot_segment",
    "/api/x/%2e%2E/admin/x": "dot_segment",
    "/api/x\\admin": "backslash",
    "/api/x;a/admin": "path_parameter",
    "/api//admin/x": "double_slash",
    "/api/%c0%ae%c0%ae/x": "non_utf8",
}


@pytest.mark.parametrize("target", DOUBTS)
def test_a_path_of_two_readings_is_refused_where_rules_name_paths(world, warder, requests, target):
    with requests.gets():
        reply = ask(world, warder, "GET", "rules", target)
    refused(reply, "policy limits names paths at", "can be read in more than one way", DOUBTS[target])
    # Elsewhere it is sent as it came.
    with requests.gets(f"GET {target} HTTP/1.1"):
        assert ask(world, warder, "GET", "plain", target).status == 200


def test_an_escape_that_is_none_is_refused_everywhere(world, warder, requests):
    with requests.gets():
        for target in ("/%", "/%zz", "/%u0041", "/?%4"):
            assert ask(world, warder, "GET", "plain", target).status == 400


@pytest.mark.parametrize("name", ["read", "write", "rules", "nodelete"])
def test_a_tunnel_can_t_be_held_to_limits(world, warder, requests, name):
    with RawClient(world.box, warder.address) as client, requests.gets():
        reply = client.connect(f"{name}.v4.test", PORT)
    refused(reply, "needs request inspection", "plain http", "drop access and rules")


def test_a_mistake_in_a_policy_opens_nothing(world, warder, requests):
    with requests.gets():
        refused(ask(world, warder, "GET", "wrong", "/"), "access is readonly, not full or read-only")
        with RawClient(world.box, warder.address) as client:
            refused(client.connect("wrong.v4.test", PORT), "written wrong")


OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]


@pytest.mark.parametrize("name", ["read", "write", "rules", "nodelete"])
def test_a_request_is_what_its_method_says(world, warder, requests, name):
    headers = [f"{header}: DELETE" for header in OVERRIDES]
    assert ask(world, warder, "GET", name, "/api/a", *headers, "X-Other: kept").status == 200
    head = requests.heads[-1].lower()
    assert "override" not in head and "x-http-method" not in head
    assert "\r\nx-other: kept\r\n" in head


def test_where_nothing_limits_methods_headers_are_the_origin_s_business(world, warder, requests):
    assert ask(world, warder, "GET", "plain", "/", f"{OVERRIDES[0]}: DELETE").status == 200
    assert f"\r\n{OVERRIDES[0].lower()}: delete\r\n" in requests.heads[-1].lower()
