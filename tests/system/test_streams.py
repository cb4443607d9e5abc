"""What flows through a tunnel, and around its edges."""

import concurrent.futures
import hashlib
import os
import threading

from conftest import ANSWERS_LATE, ECHO, EXCHANGES, SPEAKS_FIRST
from rig.client import RawClient, connect_head
from rig.origin import ANSWER_BYTES, pattern
from rig.scripted_opa import ALLOW, Held, ScriptedOpa, answer
from rig.waiting import eventually
from rig.world import FORBIDDEN, ORIGIN

MEGABYTE = 1_000_000
EXCHANGE_BYTES = (100 if os.environ.get("WARDER_BIG") else 5) * MEGABYTE


def test_bytes_behind_the_head_arrive(warder, world):
    with RawClient(world.box, warder.address) as client:
        assert client.connect(ORIGIN, ECHO, b"early bird").status == 200
        client.send(b", late worm")
        assert client.read(21) == b"early bird, late worm"


def test_bytes_behind_the_head_wait_for_the_allow(make_warder, world, origins):
    held = ScriptedOpa(world, "early", Held)
    warder = make_warder(held.url)
    try:
        with RawClient(world.box, warder.address) as client:
            with origins.allowed[ECHO].untouched():
                client.send(connect_head(ORIGIN, ECHO) + b"early bird")
                question = held.next_held()
            question.release(answer(ALLOW))
            assert client.reply().status == 200
            assert client.read(10) == b"early bird"
    finally:
        warder.stop()
        held.stop()


def test_bytes_behind_a_denied_head_go_nowhere(warder, world):
    with RawClient(world.box, warder.address) as client:
        assert client.connect(FORBIDDEN, ECHO, b"the secret").status == 403
        assert client.rest() == b""


def test_server_that_speaks_first(warder, world):
    with RawClient(world.box, warder.address) as client:
        assert client.connect(ORIGIN, SPEAKS_FIRST).status == 200
        assert client.read(25) == b"220 hello, who are you?\r\n"


def test_whole_answer_after_the_client_ended_its_side(warder, world):
    request = pattern("request", MEGABYTE)
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(ORIGIN, ANSWERS_LATE)
        assert reply.status == 200
        client.send(request)
        client.end_writing()
        got = client.rest()
    assert got == hashlib.sha256(request).hexdigest().encode() + pattern("answer", ANSWER_BYTES)
    record = warder.tunnel(reply.request_id)
    assert record["bytes_up"] == MEGABYTE
    assert record["bytes_down"] == len(got)
    assert record["close_reason"] == "end"


def exchange(world, warder, seed):
    """Bytes both ways at once; the checksums of both directions agree with what was sent."""
    sent = pattern(f"up {seed}", EXCHANGE_BYTES)
    with RawClient(world.box, warder.address) as client:
        client.socket.settimeout(110)
        reply = client.connect(ORIGIN, EXCHANGES)
        assert reply.status == 200
        client.send(f"{EXCHANGE_BYTES} down{seed}\n".encode())
        sender = threading.Thread(target=client.send, args=(sent,))
        sender.start()
        digest, left = hashlib.sha256(), EXCHANGE_BYTES
        while left:
            data = client._stream.read1(min(left, 1 << 18))
            assert data, f"the end, {left} bytes early"
            digest.update(data)
            left -= len(data)
        sender.join()
        assert digest.digest() == hashlib.sha256(pattern(f"down{seed}", EXCHANGE_BYTES)).digest()
        assert client.read(64) == hashlib.sha256(sent).hexdigest().encode()
    return reply.request_id


def test_many_bytes_both_ways_on_50_tunnels_at_once(warder, world):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        ids = list(pool.map(lambda seed: exchange(world, warder, seed), range(50)))
    for request_id in ids:
        record = warder.tunnel(request_id)
        assert record["bytes_up"] == EXCHANGE_BYTES + len(f"{EXCHANGE_BYTES} down{ids.index(request_id)}\n")
        assert record["bytes_down"] == EXCHANGE_BYTES + 64


def test_8_megabytes_behind_a_denied_head_and_still_the_403(make_warder, world):
    """A client that writes all it has before it reads: a reset would end it before it sees why."""
    warder = make_warder(timeouts={"linger": "60s"})
    with RawClient(world.box, warder.address) as client:
        client.send(connect_head(FORBIDDEN, ECHO) + b"x" * 8 * MEGABYTE)
        reply = client.reply()
    assert (reply.status, reply.phrase) == (403, "Forbidden (denied)")
    assert reply.problem["host"] == FORBIDDEN


def test_refused_client_that_never_ends_is_cut_off(make_warder, world):
    warder = make_warder(timeouts={"linger": "300ms"})
    with RawClient(world.box, warder.address) as client:
        client.send(connect_head(FORBIDDEN, ECHO))
        assert client.reply().status == 403
        eventually(lambda: not warder.client_connections(), "the proxy closes it")


def test_reset_by_the_client_closes_the_tunnel(warder, world):
    client = RawClient(world.box, warder.address)
    reply = client.connect(ORIGIN, ECHO, b"x")
    client.read(1)
    # SO_LINGER with 0: close sends a reset.
    client.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
    client.close()
    record = warder.tunnel(reply.request_id)
    assert record["closed_by"] == "client"
    assert record["close_reason"] in ("reset", "end")


def test_idle_tunnel_is_closed(make_warder, world):
    warder = make_warder(timeouts={"idle": "300ms"})
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(ORIGIN, ECHO)
        assert client.rest() == b""
    record = warder.tunnel(reply.request_id)
    assert (record["close_reason"], record["closed_by"]) == ("idle", "proxy")


def test_a_silent_peer_is_asked_whether_it_lives(warder, world):
    """TCP keepalive on both sides: else a peer that vanished would hold its tunnel until it is idle."""

    def timers():
        # Documentation/networking/proc_net_tcp: "02" is a keepalive timer, "00" is none.
        return [row[5][:2] for row in warder.rows()
                if row[1].endswith(f":{warder.port:04X}") or row[2].endswith(f":{ECHO:04X}")]

    with RawClient(world.box, warder.address) as client:
        assert client.connect(ORIGIN, ECHO, b"x").status == 200
        client.read(1)
        eventually(lambda: timers() == ["02", "02"], "both sides have a keepalive timer")


def test_descriptors_come_back(warder, world):
    def round_trip():
        with RawClient(world.box, warder.address) as client:
            assert client.connect(ORIGIN, ECHO, b"x").status == 200
            client.read(1)

    def at_rest():
        eventually(lambda: not warder.client_connections(), "every client's connection is closed")
        return warder.descriptors()

    # The first connections open what is kept: connections to OPA, pipes.
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: round_trip(), range(100)))
        before = at_rest()
        # Fewer at once than before, so that nothing more has to be kept.
        with concurrent.futures.ThreadPoolExecutor(10) as few:
            list(few.map(lambda _: round_trip(), range(100)))
    eventually(lambda: at_rest() <= before, f"no more than {before} descriptors, {at_rest()} are open")
