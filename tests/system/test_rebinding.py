"""Names that stand for something else the next time, or for several things at once: nobody gets to an
address that wasn't checked for this very request, not by CONNECT, not by a forwarded request, not through a
connection or an answer that was kept."""

import contextlib
import itertools
import socket
import struct

import pytest

from conftest import ECHO, PYTHON, forward_endpoints
from rig.client import Agent, RawClient, connect_head
from rig.dns import Turns
from rig.forward import Sender, said
from rig.opa import Opa
from rig.origin import Origin, echo
from rig.recording_origin import OK, Answer
from rig.waiting import eventually
from rig.warder import Warder
from rig.world import GATE, ORIGIN, ORIGIN6, PRIVATE

BAD = [PRIVATE, "127.0.0.1", "169.254.169.254", GATE, "0.0.0.0", "::1", "fd00:200::1", f"::ffff:{PRIVATE}",
       "64:ff9b::a9fe:a9fe", "2002:7f00:1::1"]
# Refuses connections: nobody listens there on this port.
REFUSES = ORIGIN6
OPENED_PORT = 8093
_numbers = itertools.count()


@pytest.fixture(scope="module")
def opa(world, programs):
    """Everybody may ask for *.rebind.test, whose addresses must be public; one program may reach the
    private address behind *.shared.test."""
    everybody = [{"path": PYTHON}, {"path": programs.allowed}]
    shared = {"host": "*.shared.test", "port": ECHO, "access": "full"}
    opa = Opa(world, {
        "rebind": {
            "endpoints": [{"host": "*.rebind.test", "port": port, "access": "full"} for port in (443, ECHO, OPENED_PORT)]
            + forward_endpoints(80, "*.rebind.test"),
            "binaries": everybody,
        },
        "opened": {"endpoints": [{**shared, "allowed_ips": [PRIVATE]}], "binaries": [{"path": PYTHON}]},
        "closed": {"endpoints": [shared], "binaries": [{"path": programs.allowed}]},
    }, name="rebinding-opa")
    yield opa
    opa.stop()


@pytest.fixture(scope="module")
def private(world, origins):
    """Whoever comes here came too far: on each port of the policy, in the origin's namespace and on the
    gate's own loopback."""
    made = [Origin(world.origin, PRIVATE, port, echo) for port in (ECHO, OPENED_PORT)]
    made += [Origin(world.gate, address, port, echo) for address in ("127.0.0.1", GATE) for port in (443, 80)]
    yield [*made, origins.private]
    for origin in made:
        origin.close()


@pytest.fixture
def nobody_inside(private):
    before = [origin.connections() for origin in private]
    yield
    assert [origin.connections() for origin in private] == before


@pytest.fixture(scope="module")
def warder(world, opa, dns, origins):
    # One worker: one cache.
    warder = Warder(world, opa.url, workers=1, timeouts={"upstream_idle": "10s"})
    try:
        yield warder
    finally:
        warder.stop()


@pytest.fixture
def name(dns):
    """Gives a name what it stands for, and says how often it was asked for."""
    class Name:
        host = f"n{next(_numbers)}.rebind.test"

        def stands_for(self, *answers, ttl=0):
            dns.zone[self.host] = Turns(*answers, ttl=ttl)
            return self.host

        def asked(self):
            return dns.asked().count(self.host) // 2

    name = Name()
    yield name
    dns.zone.pop(name.host, None)


def connect(world, warder, host, port=ECHO):
    """The status; the tunnel of a 200 leads to the echo on the public address."""
    with RawClient(world.box, warder.address) as client:
        reply = client.connect(host, port)
        if reply.status == 200:
            client.send(b"ping")
            assert client.read(4) == b"ping"
        return f"{reply.status} {reply.phrase}"


OPENED = "200 Connection Established"
BLOCKED = "403 Forbidden (address_blocked)"


@pytest.mark.parametrize("bad", BAD)
def test_public_then_bad(warder, world, name, nobody_inside, bad):
    host = name.stands_for([ORIGIN], [bad])
    assert connect(world, warder, host) == OPENED
    assert [connect(world, warder, host) for _ in range(3)] == [BLOCKED] * 3
    assert name.asked() == 4


def test_bad_then_public(warder, world, name, nobody_inside):
    host = name.stands_for([PRIVATE], [ORIGIN])
    assert [connect(world, warder, host) for _ in range(3)] == [BLOCKED, OPENED, OPENED]


def test_another_address_for_each_question(warder, world, name, origins, nobody_inside):
    host = name.stands_for(*[[ORIGIN], [PRIVATE]] * 20)
    before = origins.allowed[ECHO].connections()
    assert [connect(world, warder, host) for _ in range(40)] == [OPENED, BLOCKED] * 20
    assert origins.allowed[ECHO].connections() == before + 20


@pytest.mark.parametrize("bad", BAD)
def test_good_and_bad_at_once(warder, world, name, origins, nobody_inside, bad):
    """Wherever the bad one stands, and though a good one would answer."""
    for addresses in ([ORIGIN, bad], [bad, ORIGIN], [ORIGIN, ORIGIN6, bad], [bad, ORIGIN6, ORIGIN]):
        host = name.stands_for(addresses)
        with origins.allowed[ECHO].untouched(), origins.v6.untouched():
            assert connect(world, warder, host) == BLOCKED


def test_the_next_attempt_does_not_ask_again(warder, world, name, nobody_inside):
    """Of the name's addresses one refuses; what is tried then was checked with it."""
    host = name.stands_for([REFUSES, ORIGIN], [PRIVATE])
    with RawClient(world.box, warder.address) as client:
        assert client.connect(host, 443).status == 200
    assert name.asked() == 1
    host = name.stands_for([REFUSES], [PRIVATE])
    assert connect(world, warder, host, OPENED_PORT) == "502 Bad Gateway (connection_refused)"
    assert name.asked() == 2


def test_an_answer_is_kept_for_its_ttl(warder, world, name, nobody_inside):
    def counted(source):
        return warder.samples()[f'warder_dns_lookups_total{{source="{source}"}}']

    before = counted("asked"), counted("cached")
    host = name.stands_for([ORIGIN], [PRIVATE], ttl=600)
    assert [connect(world, warder, host) for _ in range(5)] == [OPENED] * 5
    assert connect(world, warder, "denied.test") == "403 Forbidden (denied)"
    assert name.asked() == 1
    assert (counted("asked"), counted("cached")) == (before[0] + 1, before[1] + 4)


def test_a_kept_answer_is_judged_for_each_caller(warder, world, dns, private, programs):
    """The same name and the same answer, but another policy."""
    host = "kept.shared.test"
    dns.zone[host] = Turns([PRIVATE], ttl=600)
    inside = next(origin for origin in private if (origin.address, origin.port) == (PRIVATE, ECHO))
    assert connect(world, warder, host) == OPENED
    with inside.untouched(), Agent(world, world.box, programs.allowed) as agent:
        agent.open(warder.address, host, ECHO)
        assert agent.statuses() == [403]
    assert connect(world, warder, host) == OPENED
    assert dns.asked().count(host) == 2, "one question each for A and AAAA"


def test_many_who_want_one_name_ask_once(warder, world, dns, name):
    """The one whose question it was leaves, and takes it away from nobody."""
    def counted():
        samples = warder.samples()
        return [samples[f'warder_dns_lookups_total{{source="{source}"}}'] for source in ("asked", "joined")]

    asked, joined = counted()
    host = name.stands_for([ORIGIN])
    dns.hold(host)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(RawClient(world.box, warder.address))
        first.send(connect_head(host, ECHO))
        eventually(lambda: counted() == [asked + 1, joined], "the first waits for the name")
        others = [stack.enter_context(RawClient(world.box, warder.address)) for _ in range(20)]
        for client in others:
            client.send(connect_head(host, ECHO))
        eventually(lambda: counted() == [asked + 1, joined + 20], "all of them do")
        mark = warder.mark()
        # By a reset: after an orderly end it would still want its answer.
        first.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.close()
        warder.records.wait(lambda r: r.get("code") == "client_gone", "that the first has left", mark)
        dns.release(host)
        assert [client.reply().status for client in others] == [200] * 20
    assert counted() == [asked + 1, joined + 20]


# Forwarded requests.


def get(sender, host):
    sender.send(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return said(sender.answer())


@pytest.fixture
def places(raw_places):
    yield [raw_places.make([Answer(OK)]) for _ in range(2)]
    # Their listener takes port 80 of every address there.
    assert not raw_places.origin.taken(PRIVATE)


@pytest.mark.parametrize("bad", BAD)
def test_forwarded_public_then_bad(warder, world, name, places, nobody_inside, bad):
    """The connection to the public address still waits for the next request of this client."""
    public = places[0].address
    host = name.stands_for([public], [bad], [public], [public, bad], [bad, public], [public])
    with Sender(world.box, warder.address) as client:
        got = [get(client, host) for _ in range(6)]
    blocked = "403 address_blocked"
    assert got == ["200", blocked, "200", blocked, blocked, "200"]
    assert len(places[0].requests()) == 3
    # At most one more after the first, when this process, which is the origin too, has become a relay.
    assert len(places[0].taken()) <= 2, "the kept connection is used again, where its address is good"


def test_forwarded_to_where_the_name_is_now(warder, world, name, places, nobody_inside):
    """A kept connection leads to an address, not to a name."""
    first, second = places
    host = name.stands_for([first.address], [second.address], [first.address])
    with Sender(world.box, warder.address) as client:
        assert [get(client, host) for _ in range(3)] == ["200"] * 3
    assert (len(first.requests()), len(second.requests())) == (2, 1)


def test_forwarded_after_the_origin_ended_the_kept_connection(warder, world, name, raw_places, places, nobody_inside):
    """The new one goes to what this request's own lookup gave."""
    place = raw_places.make([Answer(OK, then="close")])
    host = name.stands_for([place.address], [place.address], [PRIVATE])
    with Sender(world.box, warder.address) as client:
        for answer in ("200", "200", "403 address_blocked", "403 address_blocked"):
            assert get(client, host) == answer
            # What is sent before the end has come may have been read there, and is not sent again.
            eventually(lambda: all(taken.over.is_set() for taken in place.taken()), "both sides are closed")
    assert len(place.taken()) == 2
    assert name.asked() == 4


# What is always blocked.


OPEN_TO_ALL = """package open
decision := {"allow": true, "allowed_ips": ["0.0.0.0/0", "::/0"]}
"""


@pytest.mark.parametrize("opa_host", ["127.0.0.1", "opa.test"])
def test_no_policy_opens_the_ports_of_warder_and_opa(world, dns, origins, opa_host):
    """The system chose the admin server's, and where OPA listens may be for DNS to say."""
    opa = Opa(world, {}, name="open-opa", port=world.port())
    other = Origin(world.gate, "127.0.0.1", 8094, echo)
    assert opa.put_policy("open", OPEN_TO_ALL) == 200
    dns.zone["opa.test"] = ["127.0.0.1"]
    warder = Warder(world, opa.url.replace("127.0.0.1", opa_host), admin="127.0.0.1:0", guard={"allow_loopback": True}, listen=["0.0.0.0:0"],
                    opa={"path": "/v1/data/open/decision"})
    try:
        started = warder.records.wait(lambda r: r.get("event") == "started", "that it started")
        ports = {where: int(started[where].rsplit(":", 1)[1]) for where in ("listen", "admin", "opa")}
        assert 0 not in ports.values()
        warder.address = (GATE, ports["listen"])
        dns.zone |= {"here.test": ["127.0.0.1"], "mapped.test": ["::ffff:127.0.0.1"]}
        for host in ("127.0.0.1", "here.test", "mapped.test"):
            assert connect(world, warder, host, 8094) == OPENED
            for where, port in ports.items():
                assert connect(world, warder, host, port) == BLOCKED, where
        assert connect(world, warder, GATE, ports["listen"]) == BLOCKED
    finally:
        warder.stop()
        other.close()
        opa.stop()
