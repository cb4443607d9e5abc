"""Open tunnels are decided again: one whose destination is revoked closes, the others don't notice."""

import copy
import subprocess
import time

import pytest

from conftest import ECHO
from rig.client import RawClient
from rig.opa import Opa
from rig.waiting import DEADLINE
from rig.warder import PROGRAM

TUNNELS = 200
KEPT, REVOKED = "v4.test", "revoked.v4.test"

# How a policy is changed, and within what time that reaches an open tunnel (threat-model.md). A second for
# OPA to see it; a probe's 5 s, or the interval and a tenth; and what a busy machine takes.
WAYS = {
    "a bundle's revision": ({"bundle": True}, "one", "two", "1h", 1 + 5),
    "watched files with a revision": ({"watch": True}, "one", "two", "1h", 1 + 5),
    "watched files without a revision": ({"watch": True}, None, None, "3s", 1 + 3.3),
}
BUSY = 15


def without(policies, host):
    policies = copy.deepcopy(policies)
    for policy in policies.values():
        policy["endpoints"] = [endpoint for endpoint in policy["endpoints"] if endpoint["host"] != host]
    return policies


class Tunnel:
    def __init__(self, world, warder, host):
        self.client = RawClient(world.box, warder.address)
        self.reply = self.client.connect(host, ECHO)
        assert self.reply.status == 200, self.reply
        self.sent = 0

    def exchange(self):
        """Bytes that differ each time come back as they were sent. False when it is closed."""
        self.sent += 1
        message = f"{self.reply.request_id} {self.sent};".encode() * 20
        try:
            self.client.send(message)
            return self.client.read(len(message)) == message
        except (OSError, AssertionError):
            return False


@pytest.mark.parametrize("way", WAYS)
def test_a_revoked_destination(make_warder, world, origins, dns, policies, way):
    kind, before, after, interval, within = WAYS[way]
    opa = Opa(world, policies, name="revoking", revision=before, **kind)
    try:
        warder = make_warder(opa.url, tunnels={"reauthorize": interval, "identity_check": "500ms"})
        kept = [Tunnel(world, warder, KEPT) for _ in range(TUNNELS - 1)]
        revoked = Tunnel(world, warder, REVOKED)
        assert all(tunnel.exchange() for tunnel in [*kept, revoked])

        mark = warder.mark()
        opa.set_policies(without(policies, "*.v4.test"), after)
        changed = time.monotonic()
        while revoked.exchange():
            assert time.monotonic() < changed + within + DEADLINE
            assert all(tunnel.exchange() for tunnel in kept)
        assert time.monotonic() < changed + within + BUSY

        assert warder.tunnel(revoked.reply.request_id)["close_reason"] == "revoked"
        verdict = warder.records.wait(
            lambda r: r.get("request_id") == revoked.reply.request_id and r.get("code") == "revoked",
            "the decision that revoked it", mark,
        )
        assert (verdict["decision"], verdict["status"]) == ("deny", 0)
        assert verdict["decision_id"] != revoked.reply.decision_id
        assert opa.decision(verdict["decision_id"])["input"]["request_id"] == revoked.reply.request_id

        # The others were asked about too, and go on.
        for tunnel in kept:
            warder.records.wait(
                lambda r, id=tunnel.reply.request_id: (r.get("request_id"), r.get("code")) == (id, "reauthorized"),
                "that it was decided again", mark,
            )
        assert all(tunnel.exchange() for tunnel in kept)
        for tunnel in [*kept, revoked]:
            tunnel.client.close()
    finally:
        opa.close()


def test_many_tunnels_of_one_program_are_revoked_at_once(make_warder, world, origins, dns, policies, tmp_path):
    """Each has a record, though they are as like as denials can be, and both logs agree."""
    opa = Opa(world, policies, name="revoking", revision="one", bundle=True)
    try:
        warder = make_warder(opa.url)
        tunnels = [Tunnel(world, warder, REVOKED) for _ in range(20)]
        opened = {tunnel.reply.request_id for tunnel in tunnels}
        opa.set_policies(without(policies, "*.v4.test"), "two")
        for request_id in opened:
            assert warder.tunnel(request_id)["close_reason"] == "revoked"
        for tunnel in tunnels:
            tunnel.client.close()
        warder.stop()
    finally:
        opa.close()
    opa.log.join()
    revoked = [r for r in warder.records.since() if r.get("code") == "revoked"]
    assert {r["event"] for r in revoked} == {"decision"}
    assert sorted(r["request_id"] for r in revoked) == sorted(opened)

    logs = tmp_path / "opa.log", tmp_path / "warder.log"
    for path, lines in zip(logs, (opa.log, warder.records), strict=True):
        path.write_bytes(b"".join(lines.raw))
    compared = subprocess.run(
        [PROGRAM, "decisions", "compare", "--records", logs[1], logs[0]],
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )
    assert compared.returncode == 0, compared.stderr


def test_open_tunnels_outlive_opa(make_warder, world, origins, dns, extra_opa):
    """No decision is no denial: what is open stays, nothing new opens, and both are well afterwards."""
    warder = make_warder(extra_opa.url, tunnels={"reauthorize": "1s"})
    tunnel = Tunnel(world, warder, KEPT)
    mark = warder.mark()
    extra_opa.stop()
    warder.records.wait(
        lambda r: (r.get("event"), r.get("level")) == ("reauthorize", "error"), "that it can't be decided", mark
    )
    assert tunnel.exchange()
    with RawClient(world.box, warder.address) as client:
        assert client.connect(KEPT, ECHO).status == 503
    extra_opa.start()
    warder.records.wait(
        lambda r: (r.get("event"), r.get("level")) == ("reauthorize", "info"), "that it is decided again", mark
    )
    assert tunnel.exchange()
    tunnel.client.close()


def test_open_tunnels_outlive_an_opa_without_its_bundle(make_warder, world, origins, dns, policies):
    """OPA is up again and its bundle isn't: its answers have no decision, and none of them is about the policy."""
    opa = Opa(world, policies, name="bundled", revision="one", bundle=True)
    try:
        warder = make_warder(opa.url, tunnels={"reauthorize": "1s"})
        kept, revoked = Tunnel(world, warder, KEPT), Tunnel(world, warder, REVOKED)
        opa.stop()
        opa.serve_bundle(b"")
        opa.start()
        for tunnel in (kept, revoked):
            warder.records.wait(
                lambda r, id=tunnel.reply.request_id: r.get("request_id") == id and "not healthy" in r.get("reason", ""),
                "that an answer without a decision is none",
            )
        with RawClient(world.box, warder.address) as client:
            reply = client.connect(KEPT, ECHO)
        assert (reply.status, reply.phrase) == (403, "Forbidden (policy_undefined)")
        assert kept.exchange() and revoked.exchange()

        opa.set_policies(without(policies, "*.v4.test"), "two")
        assert warder.tunnel(revoked.reply.request_id)["close_reason"] == "revoked"
        assert kept.exchange()
        kept.client.close()
        revoked.client.close()
    finally:
        opa.close()
