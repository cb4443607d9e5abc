"""Requests that are well-formed, or as far from it as a proxy has to take."""

from rig.recording_origin import OK, Answer

from .row import AWAIT, Row, get, head, in_chunks, post, served, sized, up

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PLAIN = up("GET /x")

TARGETS = [
    served("GET", get(), PLAIN),
    served("the default port, said", head("GET http://@@:80/x HTTP/1.1", "Host: @@"), PLAIN),
    served("the default port in Host only", head("GET http://@@/x HTTP/1.1", "Host: @@:80"), PLAIN),
    served("Host and target in capitals", head("GET HTTP://R_UPPER.@@/x HTTP/1.1", "Host: R_Upper.@@"),
           [], gets=["403 denied"], kept=True, asked=["GET //r_upper.@@:80/x"]),
    served("a dot behind the host", head("GET http://@@./x HTTP/1.1", "Host: @@"), PLAIN),
    served("no path", head("GET http://@@ HTTP/1.1", "Host: @@"), up("GET /")),
    served("no path but a query", head("GET http://@@?a=b HTTP/1.1", "Host: @@"), up("GET /?a=b")),
    served("a query", get("/x?a=1&b=2&&c"), up("GET /x?a=1&b=2&&c")),
    served("an empty query", get("/x?"), up("GET /x?")),
    served("a URL in the query", get("/x?u=http://b/../c"), up("GET /x?u=http://b/../c")),
    served("a colon and an at in the path", get("/a:b@c"), up("GET /a:b@c")),
    served("a long path", get("/" + "a" * 4000), up("GET /" + "a" * 4000)),
    served("OPTIONS of a resource", head("OPTIONS http://@@/x HTTP/1.1", "Host: @@"), up("OPTIONS /x")),
    served("OPTIONS of the server", head("OPTIONS http://@@ HTTP/1.1", "Host: @@"), up("OPTIONS *")),
]

METHODS = [
    served("HEAD", head("HEAD http://@@/x HTTP/1.1", "Host: @@"), up("HEAD /x"),
           answers=[Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")]),
    served("DELETE", post(method="DELETE"), up("DELETE /x")),
    served("DELETE with a body", post("Content-Length: 2", body=b"hi", method="DELETE"),
           sized("DELETE /x", b"hi")),
    served("GET with a body", post("Content-Length: 2", body=b"hi", method="GET"), sized("GET /x", b"hi")),
    served("PUT", post("Content-Length: 3", body=b"abc", method="PUT"), sized("PUT /x", b"abc")),
    served("PATCH in chunks", post("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n", method="PATCH"),
           in_chunks("PATCH /x", b"abc")),
    served("PROPFIND", post(method="PROPFIND"), up("PROPFIND /x")),
    served("POST without a body", post("Content-Length: 0"), sized("POST /x", b"")),
    served("POST that says nothing of a body", post(), up("POST /x")),
    served("TRACE", post(method="TRACE"), up("TRACE /x")),
]

BODIES = [
    served("a body in which a request stands", post("Content-Length: 18", body=b"GET / HTTP/1.1\r\n\r\n"),
           sized("POST /x", b"GET / HTTP/1.1\r\n\r\n")),
    served("blanks around the length", post("Content-Length:   3  ", body=b"abc"),
           sized("POST /x", b"abc")),
    served("no blank before the length", post("Content-Length:3", body=b"abc"), sized("POST /x", b"abc")),
    served("many chunks", post("Transfer-Encoding: chunked", body=b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"),
           in_chunks("POST /x", b"abcdef")),
    served("no chunk but the last", post("Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
           in_chunks("POST /x", b"")),
    served("zeros before a chunk's size", post("Transfer-Encoding: chunked", body=b"0003\r\nabc\r\n0000\r\n\r\n"),
           in_chunks("POST /x", b"abc")),
    served("a chunk's size in capitals", post("Transfer-Encoding: Chunked", body=b"A\r\n0123456789\r\n0\r\n\r\n"),
           in_chunks("POST /x", b"0123456789")),
    served("chunk extensions", post("Transfer-Encoding: chunked",
                                    body=b'3;a\r\nabc\r\n2;b=c;d="e;f"\r\nde\r\n0;g\r\n\r\n'),
           in_chunks("POST /x", b"abcde")),
    served("trailers", post("Transfer-Encoding: chunked", "Trailer: X-Sum",
                            body=b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
           in_chunks("POST /x", b"abc", "Trailer: X-Sum", trailers=b"X-Sum: 1\r\n")),
    served("a chunk that looks like the last", post("Transfer-Encoding: chunked",
                                                    body=b"7\r\n0\r\n\r\nGE\r\n0\r\n\r\n"),
           in_chunks("POST /x", b"0\r\n\r\nGE")),
    served("NUL and line ends in a body", post("Content-Length: 6", body=b"\0\r\n\n\r\xff"),
           sized("POST /x", b"\0\r\n\n\r\xff")),
]

FIELDS = [
    served("fields pass in order", get("/x", "B: 2", "a: 1", "B: 3", "Cookie: c=d; e"),
           up("GET /x", "B: 2", "a: 1", "B: 3", "Cookie: c=d; e")),
    served("an empty value", get("/x", "A:", "B: "), up("GET /x", "A: ", "B: ")),
    served("bytes above ASCII in a value", get("/x", "A: \xe4\xff"), up("GET /x", "A: \xe4\xff")),
    served("tabs in a value", get("/x", "A: b\tc"), up("GET /x", "A: b\tc")),
    served("every sign a name may have", get("/x", "!#$%&'*+-.^_`|~09Az: y"),
           up("GET /x", "!#$%&'*+-.^_`|~09Az: y")),
    served("fields of one hop", get("/x", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip",
                                    "Proxy-Authorization: Basic eDp5", "Proxy-Authenticate: x", "A: 1"),
           up("GET /x", "A: 1")),
    served("fields that Connection names", get("/x", "Connection: x-one, X-Two ,,", "X-One: 1", "x-two: 2",
                                               "X-Three: 3", "Connection: keep-alive"),
           up("GET /x", "X-Three: 3")),
    served("TE: trailers", get("/x", "TE: trailers", "Connection: TE"),
           up("GET /x", hop=["TE: trailers", "Connection: TE"])),
    served("other Proxy- fields", get("/x", "Proxy-Foo: 1", "Proxy-Status: warder"), PLAIN),
    served("our own ids from a client", get("/x", "Warder-Request-Id: 1"), up("GET /x", "Warder-Request-Id: 1")),
    served("Upgrade to h2c", get("/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"),
           PLAIN),
    served("HTTP2-Settings that nobody named", get("/x", "Upgrade: h2c", "HTTP2-Settings: AAA"), PLAIN),
    served("Upgrade to TLS", get("/x", "Connection: Upgrade", "Upgrade: TLS/1.2"), PLAIN),
    served("Upgrade without Connection", get("/x", "Upgrade: websocket"), PLAIN),
    served("a Via before ours", get("/x", "Via: 1.0 fred"), up("GET /x", "Via: 1.0 fred")),
    served("Max-Forwards of a GET means nothing", get("/x", "Max-Forwards: 0"),
           up("GET /x", "Max-Forwards: 0")),
    served("Max-Forwards of OPTIONS", head("OPTIONS http://@@/x HTTP/1.1", "Host: @@", "Max-Forwards: 2"),
           up("OPTIONS /x", "Max-Forwards: 1")),
    served("Max-Forwards of TRACE", head("TRACE http://@@/x HTTP/1.1", "Host: @@", "Max-Forwards: 10"),
           up("TRACE /x", "Max-Forwards: 9")),
    served("method override under full access", get("/x", "X-HTTP-Method-Override: DELETE"),
           up("GET /x", "X-HTTP-Method-Override: DELETE")),
]

CONNECTIONS = [
    served("two, one after the other", [get("/1"), AWAIT, get("/2")], [up("GET /1"), up("GET /2")],
           gets=["200", "200"]),
    served("two at once", get("/1") + get("/2"), [up("GET /1"), up("GET /2")], gets=["200", "200"]),
    served("ten at once", b"".join(get(f"/{i}") for i in range(10)), [up(f"GET /{i}") for i in range(10)],
           gets=["200"] * 10),
    served("bodies between pipelined requests",
           post("Content-Length: 3", body=b"abc", path="/1") + get("/2")
           + post("Transfer-Encoding: chunked", body=b"3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n", path="/3") + get("/4"),
           [sized("POST /1", b"abc"), up("GET /2"), in_chunks("POST /3", b"abc", trailers=b"T: 1\r\n"), up("GET /4")],
           gets=["200"] * 4),
    served("an empty line before the request", b"\r\n" + get(), PLAIN),
    served("an empty line between requests", get("/1") + b"\r\n" + get("/2"), [up("GET /1"), up("GET /2")],
           gets=["200"] * 2),
    served("close", get("/x", "Connection: close"), PLAIN, kept=False),
    served("close among others", get("/x", "Connection: foo, CLOSE"), PLAIN, kept=False),
    served("nothing is read after close", get("/x", "Connection: close") + get("/2"), PLAIN, kept=False),
    served("HTTP/1.0", get(version="1.0"), up("GET /x", via="1.0"), kept=False),
    served("HTTP/1.0 without Host", head("GET http://@@/x HTTP/1.0"), up("GET /x", via="1.0"), kept=False),
    served("HTTP/1.0 keep-alive", get("/x", "Connection: keep-alive", version="1.0"), up("GET /x", via="1.0"),
           kept=False),
    served("HTTP/1.0 with a body", head("POST http://@@/x HTTP/1.0", "Content-Length: 3") + b"abc",
           sized("POST /x", b"abc", via="1.0"), kept=False),
    served("Proxy-Connection: close", get("/x", "Proxy-Connection: close"), PLAIN),
    served("the client ends its side and still gets the answer", get(), PLAIN, kept=False, ends=True),
    served("pipelined, then the client ends its side", get("/1") + get("/2"), [up("GET /1"), up("GET /2")],
           gets=["200"] * 2, kept=False, ends=True),
    served("a denied host between two that are allowed",
           get("/1") + head("GET http://no.@@/2 HTTP/1.1", "Host: no.@@") + get("/3"),
           [up("GET /1"), up("GET /3")], gets=["200", "403 denied", "200"],
           asked=["GET /1", "GET //no.@@:80/2", "GET /3"]),
    served("a denied port", head("GET http://@@:81/x HTTP/1.1", "Host: @@:81"), [], gets=["403 denied"],
           asked=["GET //@@:81/x"]),
    served("a denied request with a body",
           head("POST http://no.@@/x HTTP/1.1", "Host: no.@@", "Content-Length: 50") + get("/in-the-body")[:50],
           [], gets=["403 denied"], asked=["POST //no.@@:80/x"], kept=False),
]

EXPECT = [
    served("100 is awaited", [post("Expect: 100-continue", "Content-Length: 3"), AWAIT, b"abc"],
           sized("POST /x", b"abc", "Expect: 100-continue"), gets=["100", "200"],
           answers=[Answer(OK, at_head=CONTINUE)]),
    served("100 is not awaited", post("Expect: 100-continue", "Content-Length: 3", body=b"abc"),
           sized("POST /x", b"abc", "Expect: 100-continue"), gets=["100", "200"],
           answers=[Answer(OK, at_head=CONTINUE)]),
    served("100 nobody asked for", post("Content-Length: 3", body=b"abc"), sized("POST /x", b"abc"),
           gets=["100", "200"], answers=[Answer(OK, at_head=CONTINUE)]),
    served("Expect without a body", get("/x", "Expect: 100-continue"), PLAIN),
    Row("417 instead of 100", [post("Expect: 100-continue", "Content-Length: 3")], ["417"], False,
        ["POST /x"], [], [Answer(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", early=True)],
        began=sized("POST /x", b"abc", "Expect: 100-continue")),
    Row("denied instead of 100", [head("POST http://no.@@/x HTTP/1.1", "Host: no.@@", "Expect: 100-continue",
                                       "Content-Length: 3")],
        ["403 denied"], False, ["POST //no.@@:80/x"]),
]

WEBSOCKET = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
HANDSHAKE = ["Upgrade: websocket", "Connection: Upgrade"]
SWITCHED = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")

UPGRADE = [
    Row("a websocket", [get("/x", *WEBSOCKET), AWAIT, b"\x81\x05hello"], ["101"], False, ["GET /x"],
        [up("GET /x", *WEBSOCKET[2:], hop=HANDSHAKE)],
        [Answer(SWITCHED, then="echo")], ends=True, relayed=b"\x81\x05hello"),
    served("a websocket that the origin declines", get("/x", *WEBSOCKET),
           up("GET /x", *WEBSOCKET[2:], hop=HANDSHAKE)),
    served("a websocket with a method that can't open one",
           post(*WEBSOCKET, "Content-Length: 3", body=b"abc"), sized("POST /x", b"abc", *WEBSOCKET[2:])),
    served("a websocket from HTTP/1.0", get("/x", *WEBSOCKET, version="1.0"),
           up("GET /x", *WEBSOCKET[2:], via="1.0"), kept=False),
    served("a websocket or h2c", get("/x", "Connection: Upgrade", "Upgrade: h2c, websocket", *WEBSOCKET[2:]),
           up("GET /x", *WEBSOCKET[2:])),
]

SERVED = TARGETS + METHODS + BODIES + FIELDS + CONNECTIONS + EXPECT + UPGRADE
