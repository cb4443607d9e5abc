"""Requests that could be read in two ways, or name what no policy can: answered with 400 (or what else
fits) and the end of the connection. Behind each stands a request that nobody may serve."""

from .row import FOLLOW, Row, get, head, in_chunks, post, refused, served, up

AUTHORITY = "400 bad_authority"

REQUEST_LINES = [
    refused("LF for CRLF", get().replace(b"\r\n", b"\n")),
    refused("LF behind the request line", get().replace(b"\r\n", b"\n", 1)),
    refused("CR alone behind the request line", get().replace(b"\r\n", b"\r", 1)),
    refused("CR CR LF", get().replace(b"\r\n", b"\r\r\n", 1)),
    refused("LF before the request", b"\n" + get()),
    refused("a blank before the method", b" " + get()),
    refused("two empty lines before the request", b"\r\n\r\n" + get()),
    refused("two spaces behind the method", get().replace(b"GET ", b"GET  ")),
    refused("a tab for a space", get().replace(b"GET ", b"GET\t")),
    refused("a space in the target", get("/a b")),
    refused("a space behind the version", get().replace(b"1.1\r\n", b"1.1 \r\n", 1)),
    refused("no version", b"GET http://@@/x\r\n", "505 unsupported_version"),
    refused("HTTP/0.9", b"GET /x\r\n", "505 unsupported_version"),
    refused("HTTP/0.9 by name", get(version="0.9"), "505 unsupported_version"),
    refused("HTTP/1.2", get(version="1.2"), "505 unsupported_version"),
    refused("version 2.0", get(version="2.0"), "505 unsupported_version"),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 unsupported_version"),
    refused("http in small letters", get().replace(b"HTTP/1.1", b"http/1.1")),
    refused("a version with two digits", get(version="1.10")),
    refused("a version without a digit", get(version="1.")),
    refused("a version with a blank", get().replace(b"HTTP/1.1", b"HTTP/ 1.1")),
    refused("a method nobody knows", get().replace(b"GET", b"BREW"), "501 unknown_method"),
    refused("a method in small letters", get().replace(b"GET", b"get"), "501 unknown_method"),
    refused("a very long method", b"A" * 40 + get(), "501 unknown_method"),
    refused("a byte in the method", get().replace(b"GET", b"G\x01T")),
    refused("a bracket in the method", get().replace(b"GET", b"G(T")),
    refused("NUL in the target", get("/a\0b")),
    refused("DEL in the target", get("/a\x7fb")),
    refused("a byte above ASCII in the target", get("/\xe4")),
    refused("CR in the target", get("/a\rb")),
    refused("a TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + get()),
    refused("SOCKS5", b"\x05\x01\x00" + get()),
]

TARGETS = [
    refused("a path alone", head("GET /x HTTP/1.1", "Host: @@"), "400 not_a_proxy_request"),
    refused("a path alone in HTTP/1.0", head("GET /x HTTP/1.0"), "400 not_a_proxy_request"),
    refused("the asterisk", head("OPTIONS * HTTP/1.1", "Host: @@"), "400 not_a_proxy_request"),
    refused("the asterisk with GET", head("GET * HTTP/1.1", "Host: @@")),
    refused("https", head("GET https://@@/x HTTP/1.1", "Host: @@"), "400 use_connect"),
    refused("ftp", head("GET ftp://@@/x HTTP/1.1", "Host: @@")),
    refused("no scheme", head("GET @@/x HTTP/1.1", "Host: @@")),
    refused("one slash", head("GET http:/@@/x HTTP/1.1", "Host: @@")),
    refused("no host", head("GET http:///x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("only a port", head("GET http://:80/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("user information", head("GET http://u:p@@@/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("another host as user", head("GET http://no.@@@@@/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a fragment", get("/x#y")),
    refused("a fragment behind the host", head("GET http://@@#/x HTTP/1.1", "Host: @@")),
    refused("a backslash behind the host", head("GET http://@@\\no.@@/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a host that is not ASCII", head("GET http://\xe4.@@/x HTTP/1.1", "Host: \xe4.@@")),
    refused("an encoded host", head("GET http://%6fther.@@/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("an encoded dot in the host", head("GET http://no%2e@@/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a host with a comma", head("GET http://a,b.@@/x HTTP/1.1", "Host: a,b.@@"), AUTHORITY),
    refused("an empty label", head("GET http://a..@@/x HTTP/1.1", "Host: a..@@"), AUTHORITY),
    refused("a number for an address", head("GET http://2130706433/ HTTP/1.1", "Host: 2130706433"),
        AUTHORITY),
    refused("a hexadecimal address", head("GET http://0x7f.1/ HTTP/1.1", "Host: 0x7f.1"), AUTHORITY),
    refused("an octal address", head("GET http://0177.0.0.1/ HTTP/1.1", "Host: 0177.0.0.1"), AUTHORITY),
    refused("a short address", head("GET http://127.1/ HTTP/1.1", "Host: 127.1"), AUTHORITY),
    refused("a short address with a dot behind", head("GET http://127.1./ HTTP/1.1", "Host: 127.1."),
        AUTHORITY),
    refused("five parts", head("GET http://1.2.3.4.5/ HTTP/1.1", "Host: 1.2.3.4.5"), AUTHORITY),
    refused("a part above 255", head("GET http://1.2.3.456/ HTTP/1.1", "Host: 1.2.3.456"), AUTHORITY),
    refused("an IPv6 address without brackets", head("GET http://::1/ HTTP/1.1", "Host: ::1"), AUTHORITY),
    refused("an IPv6 address with a zone", head("GET http://[fe80::1%25eth0]/ HTTP/1.1", "Host: [fe80::1]"),
            AUTHORITY),
    refused("an IPv6 address without an end", head("GET http://[::1/ HTTP/1.1", "Host: [::1]"), AUTHORITY),
    refused("port 0", head("GET http://@@:0/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a port too high", head("GET http://@@:65536/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a port with a sign", head("GET http://@@:+80/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("an empty port", head("GET http://@@:/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a port in hexadecimal", head("GET http://@@:0x50/x HTTP/1.1", "Host: @@"), AUTHORITY),
    refused("a target that is too long", get("/" + "a" * 9000), "431 head_too_large"),
]

HOSTS = [
    refused("no Host", head("GET http://@@/x HTTP/1.1")),
    refused("two Hosts", get("/x", "Host: @@")),
    refused("two Hosts, the second another", get("/x", "Host: no.@@")),
    refused("another Host", head("GET http://@@/x HTTP/1.1", "Host: no.@@")),
    refused("another port in Host", head("GET http://@@/x HTTP/1.1", "Host: @@:81")),
    refused("an empty Host", head("GET http://@@/x HTTP/1.1", "Host:")),
    refused("a list as Host", head("GET http://@@/x HTTP/1.1", "Host: @@, no.@@"), AUTHORITY),
    refused("user information in Host", head("GET http://@@/x HTTP/1.1", "Host: u@@@"), AUTHORITY),
    refused("a URL as Host", head("GET http://@@/x HTTP/1.1", "Host: http://@@/"), AUTHORITY),
    refused("a path in Host", head("GET http://@@/x HTTP/1.1", "Host: @@/x"), AUTHORITY),
    refused("another Host in HTTP/1.0", head("GET http://@@/x HTTP/1.0", "Host: no.@@")),
]

HEADS = [
    refused("LF behind a field", get("/x", "A: b\nC: d")),
    refused("CR in a value", get("/x", "A: b\rC: d")),
    refused("LF at the end of the head", get()[:-4] + b"\r\n\n"),
    refused("LF LF at the end of the head", get()[:-4] + b"\n\n"),
    refused("CR LF CR and a byte", get()[:-1] + b"X"),
    refused("a folded line", get("/x", "A: b", " c")),
    refused("a line folded by a tab", get("/x", "A: b", "\tc")),
    refused("a folded first line", head("GET http://@@/x HTTP/1.1", " Host: @@")),
    refused("a blank before the colon", get("/x", "A : b")),
    refused("a tab before the colon", get("/x", "A\t: b")),
    refused("a blank before the colon of Content-Length", post("Content-Length : 3", body=b"abc")),
    refused("a blank before the colon of Transfer-Encoding",
            post("Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
    refused("a line without a colon", get("/x", "A")),
    refused("no name", get("/x", ": b")),
    refused("a blank in a name", get("/x", "A b: c")),
    refused("a byte above ASCII in a name", get("/x", "\xe4: c")),
    refused("NUL in a name", get("/x", "A\0: c")),
    refused("NUL in a value", get("/x", "A: b\0c")),
    refused("a control byte in a value", get("/x", "A: b\x01c")),
    refused("DEL in a value", get("/x", "A: b\x7fc")),
    refused("a vertical tab in a value", get("/x", "A: b\x0bc")),
    refused("a head that is too long", get("/x", "A: " + "b" * 70000), "431 head_too_large"),
    refused("too many fields", get("/x", *["A: b"] * 200), "431 head_too_large"),
]

def judged(name, *fields, method="POST", body=b"", gets="400 bad_request"):
    """Where a request begins and ends is clear, so it is decided; what it says can't be forwarded. One with
    a body ends the connection, after another the next is served."""
    sent = [post(*fields, body=body, method=method) + FOLLOW]
    if body:
        return Row(name, sent, [gets], False, [f"{method} /x"])
    return Row(name, sent, [gets, "200"], True, [f"{method} /x", "GET /smuggled"], [up("GET /smuggled")])


CHUNKED = "Transfer-Encoding: chunked"
CONNECTION = [
    judged("Connection names Host", "Connection: host"),
    judged("Connection names Via", "Connection: via", "Via: 1.0 a"),
    judged("Connection names Cookie", "Connection: Cookie", "Cookie: a"),
    judged("Connection names Authorization", "Connection: authorization", "Authorization: a"),
    judged("Connection names Content-Length", "Connection: content-length", "Content-Length: 3", body=b"abc"),
    judged("Connection names Transfer-Encoding", "Connection: transfer-encoding", CHUNKED, body=b"0\r\n\r\n"),
    judged("Connection is no list of names", "Connection: a b"),
    judged("Max-Forwards is no number", "Max-Forwards: -1", method="OPTIONS"),
    judged("TRACE with a body", "Content-Length: 3", body=b"abc", method="TRACE"),
    judged("an expectation nobody knows", "Expect: the-unexpected", gets="417 unknown_expectation"),
]

LENGTHS = [
    refused(f"Content-Length: {value}", post(f"Content-Length: {value}", body=b"abcde"))
    for value in ("+5", "-5", "5, 5", "5,6", "0x5", "5 5", "5;", "5.0", "", "a", "5e0", "\"5\"",
                  "18446744073709551616", "18446744073709551621", "9223372036854775808", "9" * 40)
]

FRAMING = [
    refused("Content-Length before Transfer-Encoding",
            post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    refused("Transfer-Encoding before Content-Length",
            post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n")),
    refused("two lengths that differ", post("Content-Length: 5", "Content-Length: 3", body=b"abcde")),
    refused("two lengths that agree", post("Content-Length: 5", "content-length: 5", body=b"abcde")),
    refused("two Transfer-Encodings", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked",
                                           body=b"0\r\n\r\n")),
    refused("chunked and then identity", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity",
                                              body=b"0\r\n\r\n")),
    refused("Transfer-Encoding in HTTP/1.0", head("POST http://@@/x HTTP/1.0", "Transfer-Encoding: chunked")
            + b"0\r\n\r\n"),
    *(refused(f"Transfer-Encoding: {value!r}", post(f"Transfer-Encoding: {value}", body=b"0\r\n\r\n"))
      for value in ("identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,",
                    ", chunked", "xchunked", "chunkedx", "chunked;q=1", "\"chunked\"", "chun ked", "",
                    "chunked\x0b", "chunk\xe9d")),
]


def bad_chunk(name, body):
    """OPA allowed it by its head. The origin may see its beginning, never a whole request."""
    return Row(f"chunk: {name}", [post("Transfer-Encoding: chunked", body=body) + FOLLOW],
               ["400 bad_request"], False, ["POST /x"], began=in_chunks("POST /x", b"abcde", whole=False))


CHUNKS = [
    bad_chunk("size with a plus", b"+3\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("size with a minus", b"-3\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("a blank before the size", b" 3\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("a blank behind the size", b"3 \r\nabc\r\n0\r\n\r\n"),
    bad_chunk("a tab behind the size", b"3\t\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("no size", b"\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("only an extension", b";a\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("size with an underscore", b"3_0\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("size of 17 digits", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("size of 9 and many zeros", b"0" * 400 + b"3\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("LF behind the size", b"3\nabc\r\n0\r\n\r\n"),
    bad_chunk("CR behind the size", b"3\rabc\r\n0\r\n\r\n"),
    bad_chunk("LF behind the data", b"3\r\nabc\n0\r\n\r\n"),
    bad_chunk("nothing behind the data", b"3\r\nabc0\r\n\r\n"),
    bad_chunk("data longer than the size", b"3\r\nabcde\r\n0\r\n\r\n"),
    bad_chunk("data shorter than the size", b"3\r\nab\r\n0\r\n\r\n"),
    bad_chunk("LF in an extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("NUL in an extension", b"3;a\0\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("a very long extension", b"3;" + b"a" * 20000 + b"\r\nabc\r\n0\r\n\r\n"),
    bad_chunk("LF at the end", b"3\r\nabc\r\n0\r\n\n"),
    bad_chunk("LF behind the last size", b"3\r\nabc\r\n0\n\r\n"),
    bad_chunk("a folded trailer", b"3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n"),
    bad_chunk("a blank before a trailer's colon", b"3\r\nabc\r\n0\r\nA : b\r\n\r\n"),
    bad_chunk("a trailer without a colon", b"3\r\nabc\r\n0\r\nA\r\n\r\n"),
    bad_chunk("LF behind a trailer", b"3\r\nabc\r\n0\r\nA: b\n\r\n"),
    bad_chunk("NUL in a trailer", b"3\r\nabc\r\n0\r\nA: b\0\r\n\r\n"),
]

LATER = [
    served("a good one, then LF", get("/1") + get("/2").replace(b"\r\n", b"\n"), up("GET /1"),
           gets=["200", "400 bad_request"], kept=False),
    served("a good one, then CL and TE",
           get("/1") + post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n") + FOLLOW,
           up("GET /1"), gets=["200", "400 bad_request"], kept=False),
    served("bytes behind a body", post("Content-Length: 3", body=b"abcdef") + FOLLOW,
           up("POST /x", body=b"abc", framing="Content-Length: 3"), gets=["200", "501 unknown_method"],
           kept=False),
    served("CONNECT after a request", get("/1") + head("CONNECT no.@@:443 HTTP/1.1", "Host: no.@@:443"),
           up("GET /1"), gets=["200", "403 denied"], kept=False, asked=["GET /1", "CONNECT no.@@:443"]),
    Row("a body cut short", [post("Content-Length: 10", body=b"abc")], ["400 bad_request"], False,
        ["POST /x"], ends=True,
        began=up("POST /x", body=b"abc", framing="Content-Length: 10")),
    Row("a chunked body cut short", [post("Transfer-Encoding: chunked", body=b"5\r\nabc")],
        ["400 bad_request"], False,
        ["POST /x"], ends=True, began=in_chunks("POST /x", b"abc", whole=False)),
    Row("a chunked body without its last chunk",
        [post("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")], ["400 bad_request"], False,
        ["POST /x"], ends=True, began=in_chunks("POST /x", b"abc", whole=False)),
    Row("a head cut short", [get()[:-2]], ["400 bad_request"], ends=True),
]

REFUSED = REQUEST_LINES + TARGETS + HOSTS + HEADS + CONNECTION + LENGTHS + FRAMING + CHUNKS + LATER
