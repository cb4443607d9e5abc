"""What an origin answers, well-formed or not, and what becomes of it. `told` None: an answer that can't
be trusted, 502."""

from rig.recording_origin import OK, Answer

from .row import AWAIT, Row, answered, chunked, get, head, post, sized, up


def down(first, *fields, body=b"", framing=None):
    """What comes to the client, without what the proxy adds of its own."""
    return head(f"HTTP/1.1 {first}", *fields, *([framing] if framing else [])) + body


def origin(first, *fields, body=b"", version="1.1"):
    return head(f"HTTP/{version} {first}", *fields) + body


def length(body):
    return f"Content-Length: {len(body)}"


CHUNKED = "Transfer-Encoding: chunked"
HEAD = head("HEAD http://@@/x HTTP/1.1", "Host: @@")
OLD = get(version="1.0")
OLD_UP = up("GET /x", via="1.0")

BODIES = [
    answered("with a length", OK, [down("200 OK", body=b"ok", framing=length(b"ok"))]),
    answered("without a body", origin("200 OK", "Content-Length: 0"),
        [down("200 OK", framing="Content-Length: 0")]),
    answered("in chunks", origin("200 OK", CHUNKED, body=chunked(b"abc", b"de")),
             [down("200 OK", body=chunked(b"abcde"), framing=CHUNKED)]),
    answered("with chunk extensions", origin("200 OK", CHUNKED, body=b'3;a="b;c"\r\nabc\r\n0;d\r\n\r\n'),
             [down("200 OK", body=chunked(b"abc"), framing=CHUNKED)]),
    answered("with trailers", origin("200 OK", CHUNKED, body=chunked(b"abc", trailers=b"X-Sum: 1\r\n")),
             [down("200 OK", body=chunked(b"abc", trailers=b"X-Sum: 1\r\n"), framing=CHUNKED)]),
    answered("to the end of the connection", origin("200 OK", body=b"abc"),
             [down("200 OK", body=chunked(b"abc"), framing=CHUNKED)], then="close"),
    answered("from HTTP/1.0", origin("200 OK", body=b"abc", version="1.0"),
             [down("200 OK", body=chunked(b"abc"), framing=CHUNKED)], then="close"),
    answered("from HTTP/1.0 with a length", origin("200 OK", length(b"abc"), body=b"abc", version="1.0"),
             [down("200 OK", body=b"abc", framing=length(b"abc"))]),
    answered("in chunks to HTTP/1.0", origin("200 OK", CHUNKED, body=chunked(b"abc")),
             [down("200 OK", body=b"abc")], request=OLD, took=OLD_UP, kept=False),
    answered("to its end to HTTP/1.0", origin("200 OK", body=b"abc"),
             [down("200 OK", body=b"abc")], request=OLD, took=OLD_UP, kept=False, then="close"),
    answered("to HEAD with a length", origin("200 OK", "Content-Length: 1000"),
             [down("200 OK", framing="Content-Length: 1000")], request=HEAD, took=up("HEAD /x")),
    answered("to HEAD in chunks", origin("200 OK", CHUNKED), [down("200 OK")], request=HEAD,
             took=up("HEAD /x")),
    answered("204", origin("204 No Content"), [down("204 No Content")]),
    answered("304 with a length", origin("304 Not Modified", "Content-Length: 10", "ETag: x"),
             [down("304 Not Modified", "ETag: x", framing="Content-Length: 10")]),
    answered("a body in which an answer stands", origin("200 OK", length(OK), body=OK),
             [down("200 OK", body=OK, framing=length(OK))]),
    answered("that ends the connection", origin("200 OK", "Connection: close", length(b"abc"), body=b"abc"),
             [down("200 OK", body=b"abc", framing=length(b"abc"))], then="close"),
    answered("without a reason phrase", origin("200 ", "Content-Length: 0"),
        [down("200 ", framing="Content-Length: 0")]),
    answered("with a status nobody knows", origin("299 Odd", "Content-Length: 0"),
        [down("299 Odd", framing="Content-Length: 0")]),
    answered("500", origin("500 Oh", "Content-Length: 0"), [down("500 Oh", framing="Content-Length: 0")]),
]

FIELDS = [
    answered("fields pass in order", origin("200 OK", "B: 2", "Set-Cookie: a", "A: 1", "Set-Cookie: b",
        "Content-Length: 0"),
             [down("200 OK", "B: 2", "Set-Cookie: a", "A: 1", "Set-Cookie: b", framing="Content-Length: 0")]),
    answered("fields of one hop",
             origin("200 OK", "Connection: x-one, keep-alive", "X-One: 1", "Keep-Alive: timeout=5",
                 "Upgrade: h2c",
                    "Proxy-Connection: keep-alive", "Proxy-Authenticate: Basic", "A: 1", "Content-Length: 0"),
             [down("200 OK", "A: 1", framing="Content-Length: 0")]),
    answered("its own copies of ours",
             origin("200 OK", "Warder-Request-Id: forged", "Warder-Decision-Id: forged",
                 "Proxy-Status: forged",
                    "warder-x: forged", "A: 1", "Content-Length: 0"),
             [down("200 OK", "A: 1", framing="Content-Length: 0")]),
    answered("its own copies of ours in trailers",
             origin("200 OK", CHUNKED, body=chunked(b"a", trailers=b"Warder-Request-Id: forged\r\nA: 1\r\n")),
             [down("200 OK", body=chunked(b"a", trailers=b"A: 1\r\n"), framing=CHUNKED)]),
    answered("Connection names Content-Length",
             origin("200 OK", "Connection: content-length", length(b"abc"), body=b"abc"),
             [down("200 OK", body=b"abc", framing=length(b"abc"))]),
    answered("a Via of its own", origin("200 OK", "Via: 1.1 cache", "Content-Length: 0"),
             [down("200 OK", "Via: 1.1 cache", framing="Content-Length: 0")]),
]

INTERIM = [
    answered("103 first", OK, [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        down("200 OK", body=b"ok", framing=length(b"ok"))],
             at_head=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    answered("three before the last", OK,
             [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n",
              b"HTTP/1.1 103 Early Hints\r\n\r\n", down("200 OK", body=b"ok", framing=length(b"ok"))],
             at_head=b"HTTP/1.1 102 Processing\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2),
    answered("100 nobody waits for", OK, [b"HTTP/1.1 100 Continue\r\n\r\n",
        down("200 OK", body=b"ok", framing=length(b"ok"))],
             at_head=b"HTTP/1.1 100 Continue\r\n\r\n"),
    answered("1xx to HTTP/1.0", OK, [down("200 OK", body=b"ok", framing=length(b"ok"))], request=OLD,
        took=OLD_UP,
             kept=False, at_head=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    answered("1xx with a length", OK, [b"HTTP/1.1 103 Early Hints\r\n\r\n",
        down("200 OK", body=b"ok", framing=length(b"ok"))],
             at_head=b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n"),
]

EARLY = [
    Row("413 while the client still sends", [post("Content-Length: 100000", body=b"x" * 1000)], ["413"],
        False,
        ["POST /x"], [], [Answer(origin("413 Too Large", "Connection: close", "Content-Length: 0"),
            early=True, then="close")],
        began=up("POST /x", body=b"x" * 1000, framing="Content-Length: 100000")),
    Row("200 while the client still sends, and then the rest",
        [post("Content-Length: 1000", body=b"x" * 500), AWAIT, b"x" * 500], ["200"], False, ["POST /x"],
        [up("POST /x", body=b"x" * 1000, framing="Content-Length: 1000")], [Answer(OK, early=True)]),
]

BROKEN = [
    answered("CL and TE", origin("200 OK", length(b"abc"), CHUNKED, body=chunked(b"abc")), None),
    answered("TE and CL", origin("200 OK", CHUNKED, length(b"abc"), body=chunked(b"abc")), None),
    answered("two lengths that differ", origin("200 OK", "Content-Length: 3", "Content-Length: 4",
        body=b"abcd"), None),
    answered("a list of lengths", origin("200 OK", "Content-Length: 3, 3", body=b"abc"), None),
    answered("a length with a sign", origin("200 OK", "Content-Length: +3", body=b"abc"), None),
    answered("a length in hexadecimal", origin("200 OK", "Content-Length: 0x3", body=b"abc"), None),
    answered("a length that overflows", origin("200 OK", "Content-Length: 18446744073709551619",
        body=b"abc"), None),
    answered("gzip as coding", origin("200 OK", "Transfer-Encoding: gzip, chunked", body=chunked(b"abc")),
        None),
    answered("TE from HTTP/1.0", origin("200 OK", CHUNKED, body=chunked(b"abc"), version="1.0"), None),
    answered("LF for CRLF", OK.replace(b"\r\n", b"\n"), None),
    answered("a folded line", origin("200 OK", "A: b", " c", "Content-Length: 0"), None),
    answered("a blank before a colon", origin("200 OK", "Content-Length : 0"), None),
    answered("NUL in a value", origin("200 OK", "A: \0", "Content-Length: 0"), None),
    answered("CR in a value", origin("200 OK", "A: b\rc", "Content-Length: 0"), None),
    answered("HTTP/2.0", origin("200 OK", "Content-Length: 0", version="2.0"), None),
    answered("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n", None, then="close"),
    answered("a status with two digits", origin("20 OK", "Content-Length: 0"), None),
    answered("a status with four digits", origin("2000 OK", "Content-Length: 0"), None),
    answered("101 nobody asked for",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", None),
    answered("a head that is too long", origin("200 OK", "A: " + "b" * 100000, "Content-Length: 0"), None),
    answered("a head cut short", b"HTTP/1.1 200 OK\r\nContent-Le", None, then="close",
        gets=["502 origin_closed"]),
]

CUT = [
    Row(f"cut: {name}", [get()], [], False, ["GET /x"], [up("GET /x")], [Answer(data, then=then)], cut=body)
    for name, data, then, body in (
        ("a body with a length", origin("200 OK", "Content-Length: 100", body=b"abc"), "close", b"abc"),
        ("a body in chunks", origin("200 OK", CHUNKED, body=b"5\r\nabc"), "close", b"abc"),
        ("no last chunk", origin("200 OK", CHUNKED, body=b"3\r\nabc\r\n"), "close", b"abc"),
        ("a length in the trailers", origin("200 OK", CHUNKED,
            body=chunked(b"a", trailers=b"Content-Length: 3\r\n")),
         "keep", b"a"),
        ("a chunk's size that is none", origin("200 OK", CHUNKED, body=b"3\r\nabc\r\nzz\r\n"), "keep",
            b"abc"),
        ("a chunk that is longer than it says", origin("200 OK", CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"),
            "keep", b"abc"),
        ("a chunk's size that overflows",
            origin("200 OK", CHUNKED, body=b"3\r\nabc\r\n10000000000000000\r\n"), "keep", b"abc"),
    )
]

for _row in BODIES + FIELDS + INTERIM + EARLY + BROKEN:
    _row.name = f"answer: {_row.name}"

ANSWERS = BODIES + FIELDS + INTERIM + EARLY + BROKEN + CUT
