"""Requests through the proxy as bytes, and the range of addresses where their origins are."""

import contextlib
import ipaddress
import re
import socket
import threading
from dataclasses import dataclass, field

from .recording_origin import RecordingOrigin
from .waiting import DEADLINE, eventually
from .wire import Ended, NotHttp, Wire, read_answer_head, read_body

# All of it is local to the origin's namespace, so that every run has an address of its own.
RANGE = ipaddress.ip_network("11.32.0.0/11")
NOBODY = str(RANGE[-2])

# What a proxy refuses by itself: its answer shows that the connection is still served.
PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"
PROBED = "400 not_a_proxy_request"


class Places:
    """Gives out names of `*.DOMAIN`, each with an address and a record of its own. `*.name` of each
    resolves too, and nobody may ever come there."""

    def __init__(self, world, dns, domain, port=80):
        self._dns, self._domain = dns, domain
        world.origin.ip(f"route replace local {RANGE} dev lo")
        world.gate.ip(f"route replace {RANGE} via 11.20.0.9 dev to-origin onlink")
        self.origin = RecordingOrigin(world.origin, port)
        self._next = 0
        self._lock = threading.Lock()

    def make(self, answers=(), domain=None, label=None):
        with self._lock:
            self._next += 1
            number = self._next
        assert RANGE[number] < RANGE[-2], "no address is left"
        host = f"{label or f'r_{number:05}'}.{domain or self._domain}"
        place = Place(self.origin, host, str(RANGE[number]))
        self._dns.zone[place.host] = [place.address]
        self._dns.zone["*." + place.host] = [NOBODY]
        self.origin.script(place.address, answers)
        return place

    def intruders(self):
        return self.origin.taken(NOBODY)

    def close(self):
        self.origin.close()


@dataclass
class Place:
    origin: RecordingOrigin
    host: str
    address: str

    def taken(self):
        return self.origin.taken(self.address)

    def requests(self):
        return self.origin.requests(self.address)

    def fill(self, data):
        """`data` with the name in it."""
        return data.replace(b"@@", self.host.encode())


@dataclass
class Got:
    """What a client got: every message, and what came of the connection."""

    messages: list = field(default_factory=list)
    kept: bool = False
    after: bytes = b""
    problem: str = None

    def summary(self):
        return [said(message) for message in self.messages]


def said(message):
    """"200", or with the code in the phrase of an answer of the proxy's own."""
    ours = message.code and message.values(b"warder-request-id")
    return f"{message.status} {message.code}" if ours else str(message.status)


class Sender:
    """One connection to the proxy, whose bytes leave in pieces of `size`, each a segment of its own."""

    def __init__(self, space, to, size=None, methods=()):
        self.socket = space.socket()
        self.socket.settimeout(DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(to)
        self.wire = Wire(self.socket)
        self.got = Got()
        self._size = size
        self._methods = list(methods)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """A proxy that has refused may close before it has everything."""
        size = self._size or len(data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(data), size):
                self.socket.sendall(data[at : at + size])

    def answer(self):
        """The next message, interim or final."""
        method = self._methods[0].encode() if self._methods else b"GET"
        message = read_answer_head(self.wire, method)
        self.got.messages.append(message)
        if message.status >= 200:
            del self._methods[:1]
            read_body(self.wire, message)
        return message

    def finish(self, kept):
        """Whether the connection is as it should be: still served, or at its end."""
        if kept:
            self._methods = []
            self._size = None
            self.send(PROBE)
            probed = said(self.answer())
            self.got.messages.pop()
            self.got.kept = probed == PROBED
        self.got.after = self.wire.rest()


def play(space, to, row, place, size):
    """The row's bytes, and what the client gets for them."""
    methods = [question.split(" ")[0] for question in row.asked]
    with Sender(space, to, size, methods) as sender:
        try:
            for piece in row.send:
                if isinstance(piece, bytes):
                    sender.send(place.fill(piece))
                else:
                    sender.answer()
            if row.ends:
                sender.socket.shutdown(socket.SHUT_WR)
            while len(sender.got.messages) < len(row.gets):
                sender.answer()
            if row.cut is not None:
                sender.answer()
            sender.finish(row.kept)
        except Ended:
            sender.got.problem = "ended"
        except (NotHttp, OSError) as problem:
            sender.got.problem = repr(problem)
        return sender.got


_VIA = re.compile(rb"^(Via: (?:.*, )?1\.[01] warder)-[0-9a-f]+\r\n", re.M)


def with_plain_via(text):
    """The token that stands for one running proxy is another each time."""
    return _VIA.sub(rb"\1\r\n", text)


_OURS = re.compile(
    rb"(?:Via: 1\.[01] warder-[^,\r]*|Warder-(?:Request|Decision)-Id: [^\r]*|Proxy-Status: warder[^\r]*"
    rb"|Date: [^\r]*|Connection: (?:close|keep-alive))\r\n"
)


def without_ours(text):
    """An answer without what the proxy adds."""
    return _OURS.sub(b"", text)


class Questions:
    """What a real OPA was asked, by the host's last three labels. A request that it was asked about again
    counts once: the tests' process is client and origin, so its connections become those of a relay."""

    def __init__(self, opa):
        self._opa = opa
        self._seen = 0
        self._by_place = {}
        self._lock = threading.Lock()

    def about(self, place):
        with self._lock:
            new = self._opa.log.since(self._seen)
            self._seen += len(new)
            for entry in new:
                asked = entry.get("input") or {}
                if "host" in asked:
                    key = ".".join(str(asked["host"]).rsplit(".", 3)[-3:])
                    self._by_place.setdefault(key, {}).setdefault(asked["request_id"], entry)
            return list(self._by_place.get(place.host, {}).values())

    def in_words(self, place):
        return [in_words(entry["input"], place) for entry in self.about(place)]

    def wait(self, place, count):
        return eventually(lambda: len(self.about(place)) >= count or None,
            f"{count} questions about {place.host}")


def in_words(asked, place):
    """"GET /path?query", with the host and port before it where they are not the place's own."""
    request, host, port = asked["request"], asked["host"], asked["port"]
    if request["kind"] == "connect":
        return f"CONNECT {host}:{port}".replace(place.host, "@@")
    where = "" if (host, port) == (place.host, 80) else f"//{host}:{port}".replace(place.host, "@@")
    query = "" if request["query_raw"] is None else "?" + request["query_raw"]
    return f"{request['method']} {where}{request['path_raw']}{query}"
