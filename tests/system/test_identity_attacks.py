"""Each way of passing for another program (identity_cases.py), by the kernel's own records and by procfs
alone: prepared while Warder stands still, and against the clock on a machine with no processor to spare."""

import collections
import contextlib
import random

import pytest

from conftest import RACES
from identity_cases import CASES, Stage
from rig.warder import Warder
from rig.world import BOXES

BOX = BOXES["box"][0]
# So many connections of one process are at stake in one trick.
AT_ONCE = 5
KERNEL, PROCFS = "kernel", "procfs"


@pytest.fixture(scope="module", params=[KERNEL, PROCFS])
def looking(request, world, opa, dns, origins):
    """(how, Warder)"""
    lookup = {KERNEL: "auto", PROCFS: "procfs"}[request.param]
    warder = Warder(world, opa.url, identity={"lookup": lookup})
    yield request.param, warder
    warder.stop()


def tries(stage, case, frozen=contextlib.nullcontext):
    """(record, status) of each of the connections of one case."""
    mark = stage.warder.mark()
    with contextlib.ExitStack() as block:
        with frozen():
            program = block.enter_context(case.run(stage))
        records = [stage.warder.decision_for(f"{BOX}:{port}", mark) for port in stage.ports]
        if not case.statuses:
            return [(record, None) for record in records]
        if stage.back:
            program.ask(stage.back)
        return list(zip(records, program.statuses(), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_prepared(looking, world, natives, origins, name):
    how, warder = looking
    case, outcome = CASES[name], CASES[name].outcome
    stage = Stage(world, natives, warder)
    (record, status), = tries(stage, case, warder.frozen)
    print(record)
    if how == PROCFS and outcome.procfs_is_taken_in:
        assert {"references_uncounted", "connector_unknown"} <= set(record["causes"])
        assert record["assurance"] != "proven"
        return
    named = getattr(natives, outcome.binary) if outcome.binary else None
    assert (record["binary"], record["grade"]) == (named, outcome.grade)
    opened = named == natives.allowed and outcome.assurance != "suspect"
    assert status in (None, 200 if opened else 403)
    if how == KERNEL:
        assert (record["assurance"], tuple(record["causes"])) == (outcome.assurance, outcome.causes)
        assert record["identity_reason"] == outcome.reason
    else:
        assert record["assurance"] != "proven"
        # There may be somebody whom not even root may look into.
        also = {"owner_not_found": "owner_unreadable"}.get(outcome.reason)
        assert record["identity_reason"] in (outcome.reason, also)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.races])
def test_racing(looking, load, world, natives, name):
    """The trick comes a little earlier or later each time: before Warder looks, between its looks, after
    them. Whatever it sees, it says nothing of a program that was not there."""
    how, warder = looking
    case = CASES[name]
    if how == PROCFS and case.outcome.procfs_is_taken_in:
        return
    seen = collections.Counter()
    for done in range(0, RACES, AT_ONCE):
        stage = Stage(world, natives, warder, delay=random.choice([0, 50, 200, 1000, 3000]),
                      count=min(AT_ONCE, RACES - done))
        for record, status in tries(stage, case):
            seen[(record["code"], record["grade"], record["assurance"])] += 1
            assert record["binary"] in (None, stage.opener), record
            assert status != 200 or stage.opener == natives.allowed, record
    print(name, sum(seen.values()), dict(seen))
