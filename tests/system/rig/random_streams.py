"""Random streams of requests: well-formed ones of every kind, and what comes of them by a few changes."""

_METHODS = ["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
_PATHS = ["/", "/x", "/a/b;c?d=e", "/%41%2f..", "/a//b", "/a/../x", "/?q=http://z/", "/a?", "/..", "/%2f..", "/%",
    "/~_-.!$&'()*+,;=:@"]
_FIELDS = [
    "Connection: keep-alive", "Connection: x-a", "X-A: 1", "Accept: */*", "Cookie: a=b; c=d", "TE: trailers",
    "Keep-Alive: 5", "Proxy-Connection: keep-alive", "Upgrade: h2c", "Via: 1.0 fred", "Expect: 100-continue",
    "Range: bytes=0-1", "X-HTTP-Method-Override: PUT", "Content-Type: text/plain", "A:", "Trailer: B",
    "If-None-Match: x", "Content_Length: 3", "Authorization: Basic eDp5",
]
# What is put in between the lines of a head, or anywhere.
_NASTY = [
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Content-Length: +3\r\n", b"content-length : 3\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n", b"Host: other\r\n",
    b"X: a\r\n b\r\n", b"Connection: close\r\n", b"Connection: content-length\r\n", b"X: \0\r\n", b"\n",
        b"\r\n",
    b"\r", b"\0", b" ", b"\t", b"0\r\n\r\n", b"3\r\nabc\r\n", b";x=\"\r\n", b"\r\n\r\n", b"ffffffffffffffff",
    b"HTTP/1.0", b"%0d%0a", b"#", b"@", b"\\", b"\xff",
]


def _body(random, hidden):
    return random.choice([b"", b"abc", b"x" * 300, hidden, b"0\r\n\r\n" + hidden, b"\r\n" + hidden])


def _chunks(random, body):
    coded, at = b"", 0
    while at < len(body):
        piece = body[at : at + random.randint(1, 60)]
        at += len(piece)
        coded += b"%s%x%s\r\n%s\r\n" % (random.choice([b"", b"00"]), len(piece),
                                        random.choice([b"", b";a", b';a="b;c"']), piece)
    return coded + b"0\r\n" + random.choice([b"", b"", b"B: 1\r\n"]) + b"\r\n"


def _request(random, authority):
    method, path = random.choice(_METHODS), random.choice(_PATHS)
    lines = [f"{method} http://{authority}{path} HTTP/{random.choice(['1.1'] * 9 + ['1.0'])}",
        f"Host: {authority}"]
    lines += random.sample(_FIELDS, random.randint(0, 4))
    lines[1:] = random.sample(lines[1:], len(lines) - 1)
    hidden = f"GET http://{authority}/hidden HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    kind = random.choice(["none", "none", "length", "chunked"])
    body = b"" if kind == "none" else _body(random, hidden)
    if kind == "length":
        lines.append(f"Content-Length: {len(body)}")
    if kind == "chunked" and lines[0].endswith("1.1"):
        lines.append("Transfer-Encoding: chunked")
        body = _chunks(random, body)
    elif kind == "chunked":
        body = b""
    return "\r\n".join([*lines, "", ""]).encode() + body


def _changed(random, stream):
    at = random.randrange(len(stream) + 1)
    what = random.randrange(7)
    if what == 0:
        return stream[:at] + bytes([random.randrange(256)]) + stream[at + 1 :]
    if what == 1:
        return stream[:at] + stream[at + random.randint(1, 4) :]
    if what == 2:
        return stream[:at] + random.choice(_NASTY) + stream[at:]
    if what == 3:
        return stream[:at] + stream[max(0, at - random.randint(1, 40)) : at] + stream[at:]
    if what == 4:
        return stream.replace(b"\r\n", random.choice([b"\n", b"\r", b"\r\r\n"]), 1)
    ends = [0] + [i + 2 for i in range(len(stream)) if stream.startswith(b"\r\n", i)]
    at = random.choice(ends)
    return stream[:at] + random.choice(_NASTY) + stream[at:]


def random_stream(random, authority):
    stream = b"".join(_request(random, authority) for _ in range(random.randint(1, 5)))
    if random.random() < 0.6:
        for _ in range(random.randint(1, 3)):
            stream = _changed(random, stream)
    return stream


def in_pieces(random, stream):
    largest = random.choice([1, 3, 20, 200, 10000])
    at = 0
    while at < len(stream):
        size = random.randint(1, largest)
        yield stream[at : at + size]
        at += size
