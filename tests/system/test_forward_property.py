"""For any stream: the requests OPA was asked about and allowed are the requests the origin saw. With
origins whose parsers have nothing in common, so that what one of them would take for two requests, or for
another one, shows."""

import concurrent.futures
import contextlib
import os
import random
import re
import socket
import time
from collections import Counter, defaultdict

import pytest

from rig import web_servers
from rig.forward import Questions
from rig.waiting import DEADLINE, eventually
from rig.random_streams import in_pieces, random_stream
from rig.warder import Warder

pytestmark = pytest.mark.many_inputs

LONG = "WARDER_STREAMS_SECONDS" in os.environ
SECONDS = float(os.environ.get("WARDER_STREAMS_SECONDS", "30")) / len(web_servers.SERVERS)
# The same streams whenever a change is tested, so that a failure is the change's; others in each long run.
SEED = int(os.environ.get("WARDER_SEED", random.SystemRandom().randrange(1 << 32) if LONG else 1))
AT_ONCE = 16
FIRST_PORT = 9101
PORTS = {name: FIRST_PORT + number for number, name in enumerate(web_servers.SERVERS)}

_REFUSED = re.compile(rb"HTTP/1\.1 [0-9]{3} [^\r\n]*\([a-z_]+\)\r\nWarder-Request-Id")
_ANSWER = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ")


class Stream:
    """One connection: its bytes come from its seed, its host is its own."""

    def __init__(self, seed, place, port):
        self.seed, self.place, self.port = seed, place, port
        self.sent = b""
        self.got = b""
        self.unseen = []

    def run(self, world, to):
        chance = random.Random(self.seed)
        self.sent = random_stream(chance, f"{self.place.host}:{self.port}")
        with world.box.socket() as sock:
            sock.settimeout(DEADLINE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(to)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in in_pieces(chance, self.sent):
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while data := sock.recv(65536):
                    self.got += data

    def accepted(self, allowed):
        """Every request was answered by the origin, and none for a target that it can't make sense of."""
        statuses = _ANSWER.findall(self.got)
        return not _REFUSED.search(self.got) and len(statuses) == len(allowed) and b"400" not in statuses


@pytest.fixture(scope="module")
def warder(world, forward_opa, dns, origins):
    warder = Warder(world, forward_opa.url, timeouts={"upstream_idle": "1s"})
    try:
        yield warder
    finally:
        warder.stop()


@pytest.fixture(scope="module")
def questions(forward_opa):
    return Questions(forward_opa)


@pytest.fixture(params=web_servers.SERVERS)
def server(world, request):
    server = web_servers.start(world, request.param, PORTS[request.param])
    yield server
    server.stop()


def allowed_requests(questions, stream):
    """None where there was a CONNECT: a tunnel's bytes are nobody's business."""
    entries = [entry for entry in questions.about(stream.place) if entry["result"]["allow"]]
    asked = [entry["input"]["request"] for entry in entries]
    if any(request["kind"] != "forward" for request in asked):
        return None
    query = [("" if request["query_raw"] is None else "?" + request["query_raw"]) for request in asked]
    return [(request["method"], request["path_raw"] + more) for request, more in zip(asked, query)]


def seen_by_host(server):
    seen = defaultdict(list)
    for line in server.seen():
        assert len(line) == 3, f"{server.name} could not read a request: {line}"
        method, host, target = line
        seen[host.partition(":")[0]].append((method, target))
    return seen


def in_order(part, whole):
    """`part` is `whole` with some left out."""
    rest = iter(whole)
    return all(any(one == other for other in rest) for one in part)


def run_streams(world, warder, places, port, chance):
    streams = []
    end = time.monotonic() + SECONDS

    def one(seed):
        label = f"p{random.Random(seed).getrandbits(64):016x}"
        stream = Stream(seed, places.make(label=label), port)
        stream.run(world, warder.address)
        return stream

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        while time.monotonic() < end:
            streams += pool.map(one, [chance.getrandbits(64) for _ in range(10 * AT_ONCE)])
    return streams


def test_what_is_decided_is_what_is_served(world, warder, raw_places, questions, server):
    print(f"seed {SEED}: WARDER_SEED={SEED} does it again")
    streams = run_streams(world, warder, raw_places, server.port, random.Random(f"{SEED} {server.name}"))
    seen = seen_by_host(server)
    outcomes = Counter(check(stream, questions, server, seen[stream.place.host]) for stream in streams)
    print(f"{server.name}: {len(streams)} streams, {dict(outcomes)}")
    # A test in which nothing is served, or nothing refused, is none.
    assert outcomes["accepted"] > len(streams) // 10 and outcomes["refused"] > len(streams) // 10
    seen = seen_by_host(server)
    check_unreadable(seen.pop("", []), [unseen for stream in streams for unseen in stream.unseen])
    intruders = set(seen) - {stream.place.host for stream in streams}
    assert not intruders, f"{server.name} saw requests for {intruders}"
    assert not raw_places.intruders()


def check(stream, questions, server, seen):
    allowed = allowed_requests(questions, stream)
    if allowed is None:
        return "tunnel"
    accepted = stream.accepted(allowed)

    def holds():
        return seen == allowed if accepted else in_order(seen, allowed)

    def look_again():
        nonlocal seen, allowed, accepted
        seen, allowed = seen_by_host(server)[stream.place.host], allowed_requests(questions, stream)
        accepted = allowed is not None and stream.accepted(allowed)
        return allowed is None or holds()

    # A line may be written after its answer was sent, and OPA's read here still later.
    if not holds():
        with contextlib.suppress(AssertionError):
            eventually(look_again, "the same")
    if allowed is None:
        return "tunnel"
    assert holds(), (
        f"seed {stream.seed}: {server.name} saw {seen}, OPA allowed {allowed}\n{stream.sent}\n{stream.got}"
    )
    stream.unseen = without(allowed, seen)
    return "accepted" if accepted else "refused"


def without(whole, part):
    """What `in_order(part, whole)` left out."""
    rest = iter(part)
    awaited = next(rest, None)
    left = []
    for one in whole:
        if one == awaited:
            awaited = next(rest, None)
        else:
            left.append(one)
    return left


def check_unreadable(lines, unseen):
    """nginx answers 400 to a target like /.. before it reads a field: its line has a method and no more.
    Each has to be one of those that were allowed and that no other line tells of."""
    methods = Counter(method for method, _ in lines)
    methods.subtract(Counter(method for method, _ in unseen))
    assert not +methods, f"requests that nobody allowed: {+methods}"
