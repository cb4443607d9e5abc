"""A program that is denied again and again takes neither OPA's time nor the log from the others."""

import concurrent.futures
import time

from conftest import ECHO
from rig.client import RawClient
from rig.scripted_opa import Held, ScriptedOpa, answer
from rig.waiting import eventually

PER_SECOND = 5
BURST = 2 * PER_SECOND
THREADS = 16
SECONDS = 20.0  # a hundred times what a program has to wait


def ask(world, warder, host):
    with RawClient(world.box, warder.address) as client:
        return client.connect(host, ECHO)


def asked_of_opa(opa, replies):
    """How many of these OPA was asked about. It has written down what it answered, if not yet on this side."""
    for reply in replies:
        if reply.decision_id:
            opa.decision(reply.decision_id)
    requests = {reply.request_id for reply in replies}
    return sum(e.get("input", {}).get("request_id") in requests for e in opa.log.since())


def test_denials_are_held_back_and_counted(make_warder, world, opa):
    warder = make_warder(opa={"max_denials_per_second": PER_SECOND, "max_age": "0s"}, workers=2)
    assert ask(world, warder, "v4.test").status == 200
    tries = 300
    replies = [ask(world, warder, f"denied{i}.test") for i in range(tries)]
    denied = [r for r in replies if r.status == 403]
    held = [r for r in replies if r.status == 429]
    assert len(denied) + len(held) == tries and len(denied) >= BURST
    assert held, "nothing was held back"
    assert held[-1].phrase == "Too Many Requests (denial_rate)"
    assert int(held[-1].headers["retry-after"]) > 0
    # What the program was allowed before goes on.
    assert ask(world, warder, "v4.test").status == 200
    assert asked_of_opa(opa, replies) == len(denied), "OPA was asked about what was held back"
    assert warder.decisions()["denial_rate"] == len(held)

    # Every one is in the log: told one by one, or as a part of a sum.
    warder.stop()
    records = warder.records.since()
    one_by_one = [r for r in records if r["event"] == "decision" and r["code"] == "denial_rate"]
    sums = [r for r in records if r["event"] == "repeated" and r["code"] == "denial_rate"]
    assert len(one_by_one) + sum(r["count"] for r in sums) == len(held)
    assert len(one_by_one) + len(sums) < len(held) / 2


def test_a_held_back_program_is_asked_about_again(make_warder, world, opa):
    warder = make_warder(opa={"max_denials_per_second": PER_SECOND, "max_age": "0s"})
    replies = [ask(world, warder, "denied.test") for _ in range(200)]
    assert replies[-1].status == 429 or any(r.status == 429 for r in replies)
    # Each question that is held back costs nothing, so that asking goes on until one gets through.
    eventually(lambda: ask(world, warder, "origin.test").status == 200, "OPA is asked again", SECONDS)


def test_many_denials_at_once_reach_opa_no_oftener(make_warder, world, opa):
    """To ask before the answers come gains nothing, but for what was under way at the first denial."""
    warder = make_warder(opa={"max_denials_per_second": PER_SECOND, "max_age": "0s"}, workers=2)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        replies = list(pool.map(lambda i: ask(world, warder, f"denied{i}.test"), range(1000)))
    took = time.monotonic() - begun
    denied = sum(r.status == 403 for r in replies)
    assert denied + sum(r.status == 429 for r in replies) == len(replies)
    assert denied <= BURST + THREADS + PER_SECOND * took
    assert asked_of_opa(opa, replies) == denied


DENY = answer({"decision_id": "scripted", "result": {"allow": False, "reason": "scripted"}})


def held_at_once(world, warder, opa, tries):
    """How many of `tries` questions reach an OPA that answers none of them, of a program that was denied all
    but one of its burst. None where that took so long that it may have its burst again."""
    begun = time.monotonic()
    for i in range(BURST - 1):
        assert ask(world, warder, f"denied{i}.test").status == 403
    with concurrent.futures.ThreadPoolExecutor(tries) as pool:
        asked = [pool.submit(ask, world, warder, f"held{i}.test") for i in range(tries)]
        eventually(lambda: opa.held.qsize() + sum(a.done() for a in asked) == tries, "each one asks or is held back")
        took = time.monotonic() - begun
        held = opa.held.qsize()
        for _ in range(held):
            opa.next_held().release(DENY)
        statuses = [a.result().status for a in asked]
    assert statuses.count(403) == held and statuses.count(429) == tries - held
    return held if took < (BURST - 1) / PER_SECOND else None


def test_denials_to_come_are_paid_for_when_asked(make_warder, world):
    """Who was denied lately does not get more questions through by asking them before the answers come."""
    opa = ScriptedOpa(world, "holding", lambda q: Held(q) if q["host"].startswith("held") else DENY)
    tries = 2 * BURST
    try:
        def held():
            warder = make_warder(opa.url, workers=1, opa={
                "max_denials_per_second": PER_SECOND, "max_age": "0s", "connections": tries})
            return held_at_once(world, warder, opa, tries)
        assert 1 <= eventually(held, "the machine is fast enough") <= BURST
    finally:
        opa.stop()
