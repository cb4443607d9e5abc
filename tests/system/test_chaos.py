"""A real OPA under load that is killed, stopped, restarted, and given a broken and a revoking policy: no
tunnel is opened against the policy in force, every refusal has a documented code, and all is well again
within a second of OPA's being well.

WARDER_CHAOS_SECONDS: how long, in all; 20 where it is not set, 180 before a release.
"""

import collections
import os
import threading
import time

import pytest

from conftest import ECHO, endpoints, paths, PYTHON
from rig.client import RawClient
from rig.opa import Opa
from rig.waiting import DEADLINE, eventually
from rig.warder import http_get

SECONDS = float(os.environ.get("WARDER_CHAOS_SECONDS", "20"))
PER_SECOND = 200
THREADS = 16
RECOVERY = 1.0
# A thread that asks for 10 ms and gets this is on a machine that stood still.
STILL = 0.3
HOST = "v4.test"
# Without an answer of OPA's. What else a client may be told here is a bug.
NO_DECISION = {
    "opa_unreachable", "opa_timeout", "opa_truncated", "opa_queue_full", "opa_breaker_open", "opa_status",
    "policy_undefined",  # OPA is there, and its bundle is not yet
}


class Stills:
    """When this machine stood still: a timeout that passes meanwhile says nothing of Warder or OPA."""

    def __init__(self):
        self._times = []  # (begun, ended)
        self._last = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(DEADLINE)

    def _run(self):
        while not self._stop.wait(0.01):
            now = time.monotonic()
            if now - self._last > STILL:
                self._times.append((self._last, now))
            self._last = now

    def between(self, since, until):
        """For how long, in that time; one that has just ended counts."""
        times = [*self._times, (self._last, time.monotonic())]
        return sum(max(0, min(ended, until) - max(begun, since)) for begun, ended in times if ended - begun > STILL)


class Load:
    """Asks for one host again and again, `PER_SECOND` times a second, and keeps what came of it."""

    def __init__(self, world, warder, origin):
        self._world, self._warder, self._origin = world, warder, origin
        self.stills = Stills()
        self._reached_before = origin.connections()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._current = [None] * THREADS  # when what a thread is doing began
        self.results = []  # (begun, ended, status, code)
        self.problems = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]

    def __enter__(self):
        self.stills.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)
        self.stills.stop()

    def _run(self, number):
        pace = THREADS / PER_SECOND
        due = time.monotonic() + number * pace / THREADS
        while not self._stop.wait(max(0, due - time.monotonic())):
            due = max(due + pace, time.monotonic() - 1)
            try:
                self._one(number)
            except Exception as problem:  # noqa: BLE001  (kept for the test to show)
                self.problems.append(repr(problem))

    def _one(self, number):
        begun = self._current[number] = time.monotonic()
        with RawClient(self._world.box, self._warder.address) as client:
            reply = client.connect(HOST, ECHO)
        code = reply.phrase.rpartition("(")[2].rstrip(")") if reply.status != 200 else "allowed"
        with self._lock:
            self.results.append((begun, time.monotonic(), reply.status, code))
        self._current[number] = None

    def all_begun_after(self, since):
        return all(begun is None or begun >= since for begun in self._current)

    def reached(self):
        """How many connections the origin has accepted."""
        return self._origin.connections() - self._reached_before

    def told(self, code):
        with self._lock:
            return sum(r[3] == code for r in self.results)

    def between(self, since, until):
        """Those begun and ended in that time."""
        with self._lock:
            return [r for r in self.results if since <= r[0] and r[1] <= until]

    def wait_for(self, code, since):
        def last_begun():
            with self._lock:
                return [r for r in self.results if r[0] >= since and r[3] == code]
        return eventually(last_begun, f"{code} after what was done to OPA")[0]


def policies_for(*hosts):
    return {"chaos": {"endpoints": endpoints(hosts, [ECHO]), "binaries": paths(PYTHON)}}


@pytest.fixture
def chaos_opa(world, programs):
    opa = Opa(world, policies_for(HOST), name="chaos-opa", bundle=True, revision="1")
    yield opa
    opa.close()


def healthy_again(load, since):
    """OPA was well at `since`: from then on it may take a second, and stays so."""
    first = load.wait_for("allowed", since)
    took = first[1] - since - load.stills.between(since, first[1])
    assert took < RECOVERY, f"back to normal after {took:.2f} s"
    settled = max(time.monotonic(), since + RECOVERY)
    for _ in range(5):
        eventually(lambda: len(load.between(settled, time.monotonic())) > 20, "20 more requests")
        ended = time.monotonic()
        if {r[3] for r in load.between(settled, ended)} == {"allowed"}:
            return
        assert load.stills.between(since, ended), load.between(settled, ended)
        settled = ended + RECOVERY
    raise AssertionError("this machine stands still again and again")


def nobody_gets_through(load, since, codes):
    """Whoever began after `since` was refused with one of `codes`, and the origin saw nobody but those of
    before."""
    eventually(lambda: load.all_begun_after(since), "those that began before are over")
    eventually(lambda: len(load.between(since, time.monotonic())) > 100, "100 requests")
    until = time.monotonic()
    if load.stills.between(since, until):
        codes = codes | NO_DECISION
    wrong = [r for r in load.between(since, until) if r[3] not in codes]
    assert not wrong, wrong[:5]
    eventually(lambda: load.reached() >= load.told("allowed"), "the origin has accepted those of before")
    assert load.reached() == load.told("allowed"), "a tunnel was opened against the policy in force"


def kill(opa, load):
    opa.process.kill()
    opa.process.wait(DEADLINE)
    dead = time.monotonic()
    load.wait_for("opa_breaker_open", dead)
    nobody_gets_through(load, dead, NO_DECISION)
    opa.start()
    eventually(lambda: http_get(opa.socket, "/health?bundles")[0] == 200, "OPA has its bundle")
    healthy_again(load, time.monotonic())


def stop_and_go_on(opa, load):
    opa.freeze()
    frozen = time.monotonic()
    load.wait_for("opa_breaker_open", frozen)
    eventually(lambda: time.monotonic() - frozen > 5, "5 s of standing still")
    nobody_gets_through(load, frozen, NO_DECISION)
    opa.thaw()
    healthy_again(load, time.monotonic())


def break_bundle(opa, load):
    """OPA refuses it, and goes on with the one it has."""
    mark = opa.log.mark()
    opa.serve_bundle(b"this is no bundle")
    begun = time.monotonic()
    opa.log.wait(lambda e: e.get("level") == "error" and "undle" in e.get("msg", ""), "a broken bundle", mark)
    healthy_again(load, begun)


def revoke(opa, load, revision):
    """Once the new policy has denied, who asks later reaches nobody."""
    begun = time.monotonic()
    opa.set_policies(policies_for("other.test"), revision=f"{revision} revoked")
    in_force = load.wait_for("denied", begun)[1]
    nobody_gets_through(load, in_force, {"denied"})
    begun = time.monotonic()
    opa.set_policies(policies_for(HOST), revision=f"{revision} restored")
    load.wait_for("allowed", begun)
    healthy_again(load, time.monotonic())


def test_chaos(make_warder, world, origins, dns, chaos_opa):
    """No tunnel is opened that the policy in force denies, whatever happens to OPA."""
    warder = make_warder(chaos_opa.url, opa={"timeout": "1s", "max_age": "0s"}, workers=2)
    opa = chaos_opa
    until = time.monotonic() + SECONDS
    rounds = 0
    with Load(world, warder, origins.allowed[ECHO]) as load:
        load.wait_for("allowed", 0)
        while rounds == 0 or time.monotonic() < until:
            begun = time.monotonic()
            kill(opa, load)
            stop_and_go_on(opa, load)
            break_bundle(opa, load)
            rounds += 1
            revoke(opa, load, rounds)
            told = collections.Counter(r[3] for r in load.between(begun, time.monotonic()))
            print(f"round {rounds}: {dict(told)}")
    assert not load.problems, load.problems[:5]
    codes = collections.Counter(r[3] for r in load.results)
    assert set(codes) <= NO_DECISION | {"allowed", "denied"}, codes
    assert {r[2] for r in load.results if r[3].startswith("opa_")} == {503}
    counted = warder.decisions()
    assert sum(counted.values()) >= len(load.results)
    assert counted["allowed"] >= codes["allowed"]
    warder.stop()


def test_records_hold_what_opa_cannot_log(make_warder, world, policies):
    """OPA's log is on a full disk: Warder's records hold every decision, with OPA's ids."""
    with open("/dev/full", "wb") as full:
        opa = Opa(world, policies, name="full-disk", log=full)
    try:
        warder = make_warder(opa.url)
        ids = []
        for number in range(20):
            with RawClient(world.box, warder.address) as client:
                reply = client.connect(HOST if number % 2 else f"denied{number}.test", ECHO)
            ids.append((reply.request_id, reply.status))
        for request_id, status in ids:
            record = warder.decision(request_id)
            assert record["decision"] == ("allow" if status == 200 else "deny")
            assert record["decision_id"]
        warder.stop()
    finally:
        opa.close()
