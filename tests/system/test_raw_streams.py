"""Byte streams, valid and hostile, each at every size of piece: what the client gets, what OPA is asked
and what the origin gets, byte for byte. The table is in raw_streams/."""

import concurrent.futures
from dataclasses import dataclass

import pytest

from raw_streams import PIECES, ROWS
from rig.forward import Got, Place, Questions, play, with_plain_via, without_ours
from rig.waiting import eventually

pytestmark = pytest.mark.many_inputs

AT_ONCE = 32


@dataclass
class Run:
    size: int
    place: Place
    got: Got


@pytest.fixture(scope="module")
def places(raw_places):
    return raw_places


@pytest.fixture(scope="module")
def questions(forward_opa):
    return Questions(forward_opa)


@pytest.fixture(scope="module")
def runs(world, forward_warder, places):
    """Every row at every size, by the row's name. What came of them is for the tests to judge."""
    def run(row):
        """One size after the other, until one differs: its client may have waited for long."""
        done = []
        for size in PIECES:
            place = places.make(row.answers)
            done.append(Run(size, place, play(world.box, forward_warder.address, row, place, size)))
            if row.cut is None and done[-1].got.summary() != row.gets:
                break
        return row.name, done

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(run, ROWS))


def test_every_row_has_a_name_of_its_own():
    assert len({row.name for row in ROWS}) == len(ROWS) >= 150


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(runs, questions, row):
    for run in runs[row.name]:
        where = f"{row.name}, in pieces of {run.size or 'any size'}"
        check_client(row, run, where)
        check_questions(row, run, questions, where)
        check_origin(row, run, where)


def check_client(row, run, where):
    got = run.got
    if row.cut is not None:
        check_cut(row, run, where)
        return
    assert (got.summary(), got.problem, got.kept, got.after) == (row.gets, None, row.kept, row.relayed), where
    if row.told:
        texts = [without_ours(message.text()) for message in got.messages]
        assert texts == [run.place.fill(text) for text in row.told], where
    for message in got.messages:
        assert b"forged" not in message.text(), where


def check_cut(row, run, where):
    """What is cut short must not look whole."""
    got = run.got
    if got.summary() == ["502 bad_response"]:
        return
    if not got.messages and got.problem == "ended":
        return
    assert got.summary() == ["200"] and got.problem == "ended", f"{where}: {got}"
    assert not got.messages[0].whole and row.cut.startswith(got.messages[0].body), f"{where}: {got}"


def check_questions(row, run, questions, where):
    if row.asked:
        questions.wait(run.place, len(row.asked))
    assert questions.in_words(run.place) == row.asked, where


def without_chunk(text):
    """A head and what is there of a body, which came as one chunk if the head says so."""
    head, end, body = text.partition(b"\r\n\r\n")
    if b"\r\nTransfer-Encoding: chunked" in head:
        body = body.partition(b"\r\n")[2].removesuffix(b"\r\n")
    return head + end + body


def check_origin(row, run, where):
    """Requests that came whole, and nothing else but the one that may have begun."""
    wanted = [run.place.fill(text) for text in row.took]

    def came():
        return [request for request in run.place.requests() if request.whole]

    eventually(lambda: len(came()) >= len(wanted), f"{where}: the origin has {len(wanted)} requests: {came()}")
    requests = run.place.requests()
    texts = [with_plain_via(request.text()) for request in requests]
    whole = [text for request, text in zip(requests, texts) if request.whole]
    begun = [text for request, text in zip(requests, texts) if not request.whole]
    assert whole == wanted, where
    if row.began is None:
        assert not begun, f"{where}: {begun}"
    else:
        most = without_chunk(run.place.fill(row.began))
        assert all(most.startswith(without_chunk(text)) for text in begun), f"{where}: {begun}"
    for taken in run.place.taken():
        assert not taken.problem, f"{where}: {taken.problem}"


def test_nothing_reached_the_denied(runs, places):
    assert not places.intruders()
