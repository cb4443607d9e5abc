"""Bodies of any size, slow sides, sides that vanish, and which connection to an origin serves whom."""

import contextlib
import hashlib
import os
import re
import select
import threading
from pathlib import Path

import pytest

from rig.client import Agent
from rig.forward import NOBODY, Questions, Sender
from rig.origin import Origin, pattern
from rig.recording_origin import OK, Answer
from rig.waiting import DEADLINE, eventually
from rig.warder import Warder
from rig.wire import Ended, Wire, read_request_head

MEGABYTE = 1_000_000
BIG = (1000 if os.environ.get("WARDER_BIG") else 100) * MEGABYTE
BLOCK = pattern("block", MEGABYTE)
MEMORY = 50 * MEGABYTE


@pytest.fixture(scope="module")
def warder(world, forward_opa, dns, origins, raw_places, programs):
    """One worker, so that there is one pool. This process is client and origin, so Warder sees a relay in
    it; a request that is never answered makes that true of it all the time."""
    warder = Warder(world, forward_opa.url, workers=1, timeouts={"upstream_idle": "10s"})
    held = threading.Event()
    place = raw_places.make([Answer(wait_for=held)])
    try:
        with Agent(world, world.box, programs.allowed) as agent:
            agent.ask("open", to=list(warder.address), head=request(place).decode(), count=1)
            eventually(lambda: place.requests(), "the request is at the origin")
            yield warder
            held.set()
        warder.stop()
    finally:
        warder.kill()


@pytest.fixture
def place(raw_places):
    return raw_places.make()


def request(place, path="/x", *fields, method="GET"):
    lines = [f"{method} http://{place.host}{path} HTTP/1.1", f"Host: {place.host}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def ask(world, warder, place, path="/x"):
    with Sender(world.box, warder.address) as client:
        client.send(request(place, path))
        return client.answer()


# Many bytes.


class Bulk:
    """An origin for bodies too long to be kept. `PUT` is counted and summed up, `GET /n` gives n bytes.
    It waits for `go` before it reads or writes a body."""

    def __init__(self):
        self.go = threading.Event()
        self.moved = 0
        self.digest = None
        self.whole = threading.Event()
        self.gone = threading.Event()

    def __call__(self, connection):
        wire = Wire(connection)
        try:
            head = read_request_head(wire)
            self.go.wait(DEADLINE)
            if head.method == b"PUT":
                self._take(connection, wire, int(head.values(b"content-length")[0]))
            else:
                self._give(connection, int(head.first.split(b" ")[1][1:]))
            self.whole.set()
            wire.rest()
        finally:
            self.gone.set()

    def _take(self, connection, wire, size):
        digest = hashlib.sha256(wire.received[wire.at :])
        self.moved = len(wire.received) - wire.at
        buffer = bytearray(1 << 18)
        while self.moved < size:
            count = connection.recv_into(buffer)
            if not count:
                return
            digest.update(memoryview(buffer)[:count])
            self.moved += count
        self.digest = digest.digest()
        connection.sendall(OK)

    def _give(self, connection, size):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while self.moved < size:
            block = memoryview(BLOCK)[self.moved % MEGABYTE :][: size - self.moved]
            self.moved += connection.send(block)


@pytest.fixture
def bulk(world, raw_places):
    """On port 8080 of the range."""
    bulk = Bulk()
    server = Origin(world.origin, "0.0.0.0", 8080, bulk)
    yield bulk
    server.close()


def kilobytes(pid, key):
    return int(re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


@contextlib.contextmanager
def little_memory(warder):
    """It never has more than MEMORY. Of a sanitizer's build, which has about as much before it does anything
    and keeps what is freed, that can't be said."""
    before = kilobytes(warder.pid, "VmRSS")
    Path(f"/proc/{warder.pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM
    yield
    peak = kilobytes(warder.pid, "VmHWM")
    print(f"memory: {before} kB before, at most {peak} kB")
    assert peak * 1024 < MEMORY or before * 1024 > MEMORY // 2


def digest_of(size):
    digest = hashlib.sha256()
    for at in range(0, size, MEGABYTE):
        digest.update(BLOCK[: size - at])
    return digest.digest()


def bulk_request(place, method, path, *fields):
    target = f"{place.host}:8080"
    return "\r\n".join([f"{method} http://{target}{path} HTTP/1.1", f"Host: {target}", *fields, "",
        ""]).encode()


def test_a_long_upload(warder, world, place, bulk):
    bulk.go.set()
    with little_memory(warder), Sender(world.box, warder.address) as client:
        client.send(bulk_request(place, "PUT", "/", f"Content-Length: {BIG}"))
        for at in range(0, BIG, MEGABYTE):
            client.send(BLOCK[: BIG - at])
        assert client.answer().status == 200
    assert (bulk.moved, bulk.digest) == (BIG, digest_of(BIG))


def test_a_long_download(warder, world, place, bulk):
    bulk.go.set()
    with little_memory(warder), Sender(world.box, warder.address) as client:
        client.send(bulk_request(place, "GET", f"/{BIG}"))
        client.socket.settimeout(DEADLINE)
        stream = client.socket.makefile("rb")
        while stream.readline() not in (b"\r\n", b""):
            pass
        digest, left = hashlib.sha256(), BIG
        while left:
            data = stream.read1(min(left, 1 << 18))
            assert data, f"the end, {left} bytes early"
            digest.update(data)
            left -= len(data)
    assert digest.digest() == digest_of(BIG)


def send_until_it_stalls(sock, most):
    """How much goes out before nothing moves for a second."""
    sock.setblocking(False)
    sent = 0
    while sent < most and select.select([], [sock], [], 1)[1]:
        with contextlib.suppress(BlockingIOError):
            sent += sock.send(BLOCK)
    sock.settimeout(DEADLINE)
    return sent


# What the kernel buffers on two connections (tcp_wmem and tcp_rmem, at most), and some.
STALLED = 60 * MEGABYTE


def test_a_slow_origin_holds_the_client_back(warder, world, place, bulk):
    size = 200 * MEGABYTE
    with little_memory(warder), Sender(world.box, warder.address) as client:
        client.send(bulk_request(place, "PUT", "/", f"Content-Length: {size}"))
        sent = send_until_it_stalls(client.socket, size)
        assert sent < STALLED
        bulk.go.set()
        while sent < size:
            sent += client.socket.send(BLOCK[: size - sent])
        assert client.answer().status == 200
    assert bulk.moved == size


def test_a_slow_client_holds_the_origin_back(warder, world, place, bulk):
    size = 200 * MEGABYTE
    bulk.go.set()
    with little_memory(warder), Sender(world.box, warder.address) as client:
        client.send(bulk_request(place, "GET", f"/{size}"))
        seen = [-1]

        def stalled():
            was, seen[0] = seen[0], bulk.moved
            return was == seen[0] > 0 and not select.select([], [], [], 1)[0] and bulk.moved == was

        eventually(stalled, "the origin is held back")
        assert bulk.moved < STALLED
        stream = client.socket.makefile("rb")
        while stream.readline() not in (b"\r\n", b""):
            pass
        left = size
        while left:
            left -= len(stream.read1(min(left, 1 << 20)))
    assert bulk.whole.wait(DEADLINE)


# Sides that vanish.


def test_the_client_goes_in_the_middle_of_its_body(warder, world, place):
    with Sender(world.box, warder.address) as client:
        client.send(request(place, "/x", "Content-Length: 1000000", method="PUT") + b"x" * 500000)
        eventually(lambda: place.requests(), "the origin has the beginning")
    taken, = place.taken()
    assert taken.over.wait(DEADLINE), "the origin hears of it"
    assert not taken.requests[0].whole and len(taken.requests[0].body) <= 500000


def test_the_client_goes_in_the_middle_of_the_answer(warder, world, place, bulk):
    bulk.go.set()
    with Sender(world.box, warder.address) as client:
        client.send(bulk_request(place, "GET", f"/{1000 * MEGABYTE}"))
        eventually(lambda: bulk.moved > MEGABYTE, "the answer is under way")
    assert bulk.gone.wait(DEADLINE) and not bulk.whole.is_set()


@pytest.mark.parametrize("then", ["close", "reset"])
def test_the_origin_goes_in_the_middle_of_the_request(warder, world, raw_places, then):
    place = raw_places.make([Answer(b"", early=True, then=then)])
    with Sender(world.box, warder.address) as client:
        client.send(request(place, "/x", "Content-Length: 1000000", method="PUT") + b"x" * 500000)
        assert client.answer().status == 502
        assert client.wire.rest() == b""


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("then", ["close", "reset"])
def test_the_origin_goes_in_the_middle_of_its_answer(warder, world, raw_places, data, then):
    """What was cut short looks so: no last chunk, fewer bytes than were promised. After a reset the
    proxy may have seen nothing of the answer."""
    place = raw_places.make([Answer(data, then=then)])
    with Sender(world.box, warder.address) as client:
        client.send(request(place))
        with contextlib.suppress(Ended):
            assert client.answer().status == 502 and then == "reset"
        assert client.wire.rest() == b""


# Which connection.


def test_requests_of_one_client_share_a_connection(warder, world, place):
    with Sender(world.box, warder.address) as client:
        for i in range(20):
            client.send(request(place, f"/{i}"))
            assert client.answer().status == 200
    taken, = place.taken()
    assert [r.first for r in taken.requests] == [b"GET /%d HTTP/1.1" % i for i in range(20)]


def test_clients_of_one_program_share_a_connection(warder, world, place):
    for i in range(5):
        assert ask(world, warder, place, f"/{i}").status == 200
    assert len(place.taken()) == 1


def test_two_at_once_have_two_connections(warder, world, raw_places):
    held = threading.Event()
    place = raw_places.make([Answer(wait_for=held), Answer()])
    with Sender(world.box, warder.address) as first:
        first.send(request(place))
        eventually(lambda: place.requests(), "the first is at the origin")
        assert ask(world, warder, place).status == 200
        held.set()
        assert first.answer().status == 200
    assert len(place.taken()) == 2


def agent_request(place, path):
    return request(place, path, "Connection: close").decode()


def test_two_programs_never_share_a_connection(warder, world, place, programs):
    """The idle one of the first is there when the second asks, and is the first's again."""
    assert ask(world, warder, place, "/1").status == 200
    with Agent(world, world.box, programs.allowed) as agent:
        agent.ask("open", to=list(warder.address), head=agent_request(place, "/2"), count=1)
        answer, = agent.ask("answers")
    assert answer.startswith("HTTP/1.1 200 ")
    assert ask(world, warder, place, "/3").status == 200
    paths = [[r.first.split(b" ")[1] for r in taken.requests] for taken in place.taken()]
    assert paths == [[b"/1", b"/3"], [b"/2"]]


def test_a_program_that_is_denied_gets_no_idle_connection(warder, world, place, programs):
    assert ask(world, warder, place).status == 200
    with Agent(world, world.box, programs.denied) as agent:
        agent.ask("open", to=list(warder.address), head=agent_request(place, "/2"), count=1)
        answer, = agent.ask("answers")
    assert answer.startswith("HTTP/1.1 403 Forbidden (denied)")
    assert len(place.requests()) == 1


def test_another_program_on_the_same_client_connection(warder, world, place, programs):
    """The connection is inherited between two requests: the second is another program's, and is
    decided as that."""
    with Agent(world, world.box, programs.allowed) as agent:
        agent.ask("open", to=list(warder.address), head=request(place, "/1").decode(), count=1)
        eventually(lambda: len(place.requests()) == 1, "the first is served")
        agent.tell("become", program=programs.denied)
        assert agent.hear() == os.path.realpath(programs.denied)
        agent.ask("send", data=agent_request(place, "/2"))
        answer, = agent.ask("answers")
    assert answer.startswith("HTTP/1.1 200 ") and "HTTP/1.1 403 Forbidden" in answer, answer
    assert [r.first for r in place.requests()] == [b"GET /1 HTTP/1.1"]


def test_a_connection_that_the_origin_ended_is_not_used(warder, world, raw_places):
    """It says nothing of closing and closes. No request is lost, not even one that can't be repeated."""
    place = raw_places.make([Answer(OK, then="close")])
    with Sender(world.box, warder.address) as client:
        for i in range(10):
            client.send(request(place, f"/{i}", "Content-Length: 3", method="POST") + b"abc")
            assert client.answer().status == 200
            eventually(lambda: all(taken.over.is_set() for taken in place.taken()), "both sides are closed")
    assert len(place.taken()) == 10
    assert [len(taken.requests) for taken in place.taken()] == [1] * 10


def test_an_idle_connection_on_which_the_origin_speaks_is_not_used(warder, world, raw_places):
    """An answer before its question would be taken for that of the next request."""
    place = raw_places.make([Answer(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")])
    for i in range(5):
        assert ask(world, warder, place, f"/{i}").body == b"ok"


@pytest.mark.parametrize("method, fields, body", [("POST", ["Content-Length: 3"], b"abc"), ("GET", [], b"")],
                         ids=["POST", "GET"])
def test_what_may_have_been_processed_is_not_sent_twice(warder, world, raw_places, method, fields, body):
    """On a connection that was used before, where a retry would be for an idle connection's end."""
    place = raw_places.make([Answer(OK), Answer(b"", then="close"), Answer(OK)])
    with Sender(world.box, warder.address) as client:
        client.send(request(place, "/1"))
        assert client.answer().status == 200
        client.send(request(place, "/2", *fields, method=method) + body)
        assert client.answer().status == 502
    assert [r.first for r in place.requests()] == [b"GET /1 HTTP/1.1", f"{method} /2 HTTP/1.1".encode()]


# Order and decisions.


@pytest.fixture(scope="module")
def questions(forward_opa):
    return Questions(forward_opa)


def test_answers_come_in_the_order_of_the_requests(warder, world, raw_places, questions):
    held = threading.Event()
    slow, quick = raw_places.make([Answer(wait_for=held)]), raw_places.make([Answer(b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")])
    with Sender(world.box, warder.address) as client:
        client.send(request(slow) + request(quick))
        eventually(lambda: slow.requests(), "the first is at its origin")
        assert not select.select([client.socket], [], [], 0.2)[0]
        held.set()
        assert [client.answer().status for _ in range(2)] == [200, 201]


def test_two_in_one_packet_the_second_to_a_denied_host(warder, world, place, raw_places, questions):
    denied = f"no.{place.host}"
    with Sender(world.box, warder.address) as client:
        client.send(request(place) + f"GET http://{denied}/y HTTP/1.1\r\nHost: {denied}\r\n\r\n".encode())
        assert [client.answer().status for _ in range(2)] == [200, 403]
    questions.wait(place, 2)
    assert questions.in_words(place) == ["GET /x", "GET //no.@@:80/y"]
    assert [r.first for r in place.requests()] == [b"GET /x HTTP/1.1"]
    assert not raw_places.origin.taken(NOBODY)


def test_two_in_one_packet_the_second_to_a_denied_path(warder, world, raw_places, questions):
    ruled = raw_places.make(domain="ruled.test")
    with Sender(world.box, warder.address) as client:
        client.send(request(ruled, "/public/a") + request(ruled, "/private/b") + request(ruled, "/public/c"))
        assert [client.answer().status for _ in range(3)] == [200, 403, 200]
    assert [r.first.split(b" ")[1] for r in ruled.requests()] == [b"/public/a", b"/public/c"]
    questions.wait(ruled, 3)
    asked = [entry["input"]["request"]["path"] for entry in questions.about(ruled)]
    assert asked == ["/public/a", "/private/b", "/public/c"]
