"""What a row of the table is, and the words its rows are written in. `@@` stands for the host of the
run: a name and an address that no other run has."""

import re
from dataclasses import dataclass, field

from rig.recording_origin import Answer
from rig.wire import chunked

HOST = b"@@"
PIECES = (1, 2, 3, 4, 5, 7, 8, 16, 31, None)

# Where the client waits for an answer's head before it sends on.
AWAIT = object()

# Behind everything that is refused: whoever reads the bytes before it in another way would serve it.
FOLLOW = b"GET http://@@/smuggled HTTP/1.1\r\nHost: @@\r\n\r\n"


@dataclass
class Row:
    """`gets`: "200", or "400 bad_request" with the code of our own phrase. `asked`: what OPA was asked,
    "GET /path" or "GET //other.host:81/path". `took`: what the origin got, byte for byte, whole requests
    in order. `began`: a request the origin may have seen the beginning of. `told`: the answers, byte for
    byte, but for what is ours in them."""

    name: str
    send: list
    gets: list
    kept: bool = False
    asked: list = field(default_factory=list)
    took: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    told: list = None
    began: bytes = None
    ends: bool = False  # the client ends its side after the last byte
    cut: bytes = None  # the last answer's body ends early, with at most this much of it
    relayed: bytes = b""  # what comes back through an upgraded connection


def head(first, *fields):
    return "\r\n".join([first, *fields, "", ""]).encode("latin-1")


def get(path="/x", *fields, version="1.1"):
    return head(f"GET http://@@{path} HTTP/{version}", "Host: @@", *fields)


def post(*fields, body=b"", path="/x", method="POST"):
    return head(f"{method} http://@@{path} HTTP/1.1", "Host: @@", *fields) + body


def up(first, *fields, body=b"", via="1.1", framing=None, hop=()):
    """What goes to the origin. `framing` is the field that says where the body ends, `hop` what is between
    the proxy and the origin only."""
    before = [framing] if framing else []
    return head(f"{first} HTTP/1.1", "Host: @@", *fields, *before, f"Via: {via} warder", *hop) + body


def sized(first, body, *fields, **more):
    return up(first, *fields, body=body, framing=f"Content-Length: {len(body)}", **more)


def in_chunks(first, body, *fields, trailers=b"", whole=True, **more):
    return up(first, *fields, body=chunked(body, trailers=trailers, whole=whole),
              framing="Transfer-Encoding: chunked", **more)


def served(name, send, took, *, gets=("200",), kept=True, asked=None, **more):
    """Requests that are forwarded. What OPA is asked follows from what the origin gets."""
    send = list(send) if isinstance(send, (list, tuple)) else [send]
    took = list(took) if isinstance(took, (list, tuple)) else [took]
    if asked is None:
        asked = [re.match(rb"\S+ \S+", text)[0].decode() for text in took]
    return Row(name, send, list(gets), kept, asked, took, **more)


def refused(name, send, gets="400 bad_request", *, follow=FOLLOW, **more):
    """Answered by the proxy, which then closes; nobody is asked, nothing is forwarded."""
    return Row(name, [send + follow], [gets], **more)


def answered(name, data, told, *, request=None, took=None, gets=None, kept=True, at_head=b"", then="keep",
             early=False):
    """One request, and what its origin answers. `told` None: the answer is worth nothing, 502."""
    request = request or get()
    took = took or up("GET /x")
    if told is None:
        gets = gets or ["502 bad_response"]
    elif gets is None:
        gets = [piece.split(b" ")[1].decode() for piece in told]
    return served(name, request, took, gets=gets, kept=kept, told=told,
                  answers=[Answer(data, at_head=at_head, then=then, early=early)])
