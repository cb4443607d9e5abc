"""HTTP/1 as the rig reads it: strict, and with nothing in common with the program under test. Whatever
a proxy writes must be what the grammar calls canonical; anything else is a NotHttp."""

import re
from dataclasses import dataclass, field

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_CHUNK = re.compile(rb"[1-9A-Fa-f][0-9A-Fa-f]{0,7}|0")
_REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.[01]")
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)")


class NotHttp(Exception):
    """What came is no HTTP, or not as a careful sender writes it."""


class Ended(Exception):
    """The stream ended inside a message."""


class Wire:
    """A socket's stream. `received` is every byte of it so far."""

    def __init__(self, sock):
        self.socket = sock
        self.received = bytearray()
        self.at = 0  # how much of it was taken
        self.ended = False

    def _more(self):
        try:
            data = b"" if self.ended else self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            raise Ended
        self.received += data

    def idle(self):
        """True at the end of the stream, False when a byte is there. Waits for either."""
        try:
            while self.at == len(self.received):
                self._more()
        except Ended:
            return True
        return False

    def line(self):
        while True:
            end = self.received.find(b"\n", self.at)
            if end >= 0:
                line = bytes(self.received[self.at : end + 1])
                self.at = end + 1
                if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                    raise NotHttp(f"line end: {line!r}")
                return line[:-2]
            self._more()

    def exactly(self, size):
        while len(self.received) - self.at < size:
            self._more()
        data = bytes(self.received[self.at : self.at + size])
        self.at += size
        return data

    def rest(self):
        try:
            while True:
                self._more()
        except Ended:
            data = bytes(self.received[self.at :])
            self.at = len(self.received)
            return data


@dataclass
class Message:
    """`head` is byte for byte what came; `body` is decoded; `framing` is length, chunked, close or none."""

    first: bytes
    fields: list
    head: bytes
    framing: str = "none"
    body: bytes = b""
    trailers: list = field(default_factory=list)
    whole: bool = False

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    @property
    def method(self):
        return self.first.split(b" ")[0]

    @property
    def status(self):
        return int(self.first.split(b" ", 2)[1])

    @property
    def code(self):
        """The word in brackets at the end of a phrase."""
        found = re.search(rb"\((\w+)\)$", self.first)
        return found[1].decode() if found else None

    def text(self):
        """Head and body, a chunked one as a single chunk: how a stream was cut into chunks says nothing."""
        if self.framing != "chunked":
            return self.head + self.body
        trailers = b"".join(name + b": " + value + b"\r\n" for name, value in self.trailers)
        return self.head + chunked(self.body, trailers=trailers, whole=self.whole)


def chunked(*pieces, trailers=b"", whole=True):
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return coded + (b"0\r\n" + trailers + b"\r\n" if whole else b"")


def _read_fields(wire):
    fields = []
    while line := wire.line():
        found = _FIELD.fullmatch(line)
        if not found:
            raise NotHttp(f"field line: {line!r}")
        fields.append((found[1], found[2]))
    return fields


def _read_head(wire, first_line):
    start = wire.at
    first = wire.line()
    if not first_line.fullmatch(first):
        raise NotHttp(f"first line: {first!r}")
    fields = _read_fields(wire)
    return Message(first, fields, bytes(wire.received[start : wire.at]))


def _set_framing(message):
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise NotHttp(f"two framings: {message.head!r}")
    if codings:
        if codings[0].lower() != b"chunked":
            raise NotHttp(f"coding: {message.head!r}")
        message.framing = "chunked"
    elif lengths:
        if not re.fullmatch(rb"0|[1-9][0-9]{0,18}", lengths[0]):
            raise NotHttp(f"length: {message.head!r}")
        message.framing = "length"


def _read_chunks(wire, message):
    while True:
        line = wire.line()
        if not _CHUNK.fullmatch(line):
            raise NotHttp(f"chunk size: {line!r}")
        size = int(line, 16)
        if not size:
            message.trailers = _read_fields(wire)
            return
        message.body += wire.exactly(size)
        if wire.exactly(2) != b"\r\n":
            raise NotHttp("no line end after a chunk")


def read_body(wire, message):
    """Until its end; raises Ended where the stream ends first. `message` has what came until then."""
    if message.framing == "chunked":
        _read_chunks(wire, message)
    elif message.framing == "length":
        size = int(message.values(b"content-length")[0])
        try:
            message.body = wire.exactly(size)
        except Ended:
            message.body = wire.rest()
            raise
    elif message.framing == "close":
        message.body = wire.rest()
    message.whole = True


def read_request_head(wire):
    """None at the end of the stream."""
    if wire.idle():
        return None
    message = _read_head(wire, _REQUEST)
    _set_framing(message)
    return message


def read_answer_head(wire, method):
    """The head of the next answer, interim or final, to a request with that method."""
    message = _read_head(wire, _STATUS)
    if method == b"HEAD" or message.status in (204, 304) or message.status < 200:
        return message
    _set_framing(message)
    if message.framing == "none":
        message.framing = "close"
    return message
