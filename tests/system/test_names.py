"""A lookup is a way out: only names the policy allows are looked up, and only good addresses dialled."""

import pytest

from conftest import ECHO
from rig.client import RawClient
from rig.world import GATE


def ask(world, warder, host, port=443):
    with RawClient(world.box, warder.address) as client:
        return client.connect(host, port)


def test_a_denied_name_is_never_looked_up(warder, world, dns):
    """The denied ones have answers waiting, so only the decision keeps them from being asked for."""
    secret = "c2VjcmV0.denied.test"
    for host in ("denied.test", secret, "DENIED.test."):
        assert ask(world, warder, host).status == 403
    assert ask(world, warder, "v4.test", ECHO).status == 200
    asked = set(dns.asked())
    assert "v4.test" in asked, "the recorder does see what is looked up"
    assert not {name for name in asked if "denied" in name}


@pytest.mark.parametrize("host", ["private.test", "loopback.test", "metadata.test", "gate.test"])
def test_an_allowed_name_with_a_bad_address(warder, world, origins, host):
    """private.test has a good address too: one bad one refuses the name."""
    with origins.private.untouched(), origins.allowed[443].untouched():
        reply = ask(world, warder, host)
    assert (reply.status, reply.phrase) == (403, "Forbidden (address_blocked)")
    record = warder.decision(reply.request_id)
    assert (record["decision"], record["code"]) == ("deny", "address_blocked")
    assert record["decision_id"], "OPA had allowed it"


def test_an_allowed_name_that_does_not_exist(warder, world, dns):
    reply = ask(world, warder, "missing.test")
    assert (reply.status, reply.phrase) == (502, "Bad Gateway (name_not_found)")
    assert "missing.test" in dns.asked()


def test_nobody_listens(warder, world):
    reply = ask(world, warder, "v4.test", 22)
    assert reply.status == 502
    record = warder.decision(reply.request_id)
    assert (record["decision"], record["code"]) == ("error", "connection_refused")


@pytest.mark.parametrize("target", [
    f"{GATE}", "v4.test:0", "v4.test:65536", "v4.test:443x", "user@v4.test:443", "127.1:443",
    "0x7f000001:443", "2130706433:443", "v4.test%00.denied.test:443", "[::1:443", "[fe80::1%25eth0]:443",
    "v4\\.test:443", "v4..test:443", ":443", "http://v4.test:443",
])
def test_a_target_no_policy_can_name(warder, world, dns, target):
    asked = dns.asked()
    with RawClient(world.box, warder.address) as client:
        client.send(f"CONNECT {target} HTTP/1.1\r\nHost: v4.test\r\n\r\n".encode())
        reply = client.reply()
    assert reply.status == 400
    assert dns.asked() == asked
