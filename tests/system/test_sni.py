"""Endpoints with `sni: match`: in their tunnels, nothing goes to the origin before a ClientHello names the
host that was approved."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import PYTHON, paths
from rig import origin as o
from rig.client import RawClient, connect_head, run
from rig.opa import Opa
from rig.waiting import DEADLINE, eventually
from rig.warder import Warder
from rig.world import GATE, ORIGIN

HELPERS = Path(__file__).parent / "helpers"
HELLOS = Path(__file__).parents[1] / "fuzz/corpus/fuzz_client_hello"
CHECKED, RETRYING = 8443, 8444
CHECKED_HOST, OTHER_HOST = "origin.test", "v4.test"

UNRECOGNIZED_NAME, MISSING_EXTENSION, DECODE_ERROR, ACCESS_DENIED = 112, 109, 50, 49

URLLIB = """
import http.client, ssl, sys
proxy, port, host, target_port, name = sys.argv[1:]
connection = http.client.HTTPConnection(proxy, int(port))
connection.set_tunnel(host, int(target_port))
connection.connect()
context = ssl.create_default_context()
connection.sock = context.wrap_socket(connection.sock, server_hostname=name)
connection.request("GET", "/hello")
print(connection.getresponse().read().decode())
"""


class CountingOrigin(o.Origin):
    """Remembers every byte that reaches it, before TLS says anything."""

    def __init__(self, space, address, port, handler, tls=None):
        self.arrived = self.ended = 0
        self._context = tls
        super().__init__(space, address, port, handler)

    def _serve(self, connection):
        near, far = socket.socketpair()
        inward = threading.Thread(target=self._count_bytes, args=(connection, far), daemon=True)
        outward = threading.Thread(target=self._return, args=(far, connection), daemon=True)
        inward.start()
        outward.start()
        with contextlib.suppress(OSError, ValueError), near:
            if self._context:
                near = self._context.wrap_socket(near, server_side=True)
            with near:
                self._handler(near)
        outward.join()
        inward.join()
        connection.close()
        far.close()

    def _count_bytes(self, connection, far):
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                with self._lock:
                    self.arrived += len(data)
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)
        with self._lock:
            self.ended += 1

    @staticmethod
    def _return(far, connection):
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    def all_arrived(self):
        """Bytes so far, once all connections have ended: a close_notify may come after whatever it closes."""
        eventually(lambda: self.ended == self.connections(), "the connections have ended")
        return self.arrived

    @contextlib.contextmanager
    def silent(self):
        """Somebody may connect while the block runs, but not a byte comes."""
        before, connected = self.all_arrived(), self.connections()
        yield
        # The kernel has long accepted what this program is only told of now.
        eventually(lambda: self.connections() > connected, "it was not even dialled: the test shows nothing")
        came = self.all_arrived() - before
        assert came == 0, f"{came} bytes reached the origin"


@pytest.fixture(scope="module")
def tls_1_3_with_another_group(site):
    """A context no client has a key share for at first, so that it asks for another ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.certificate.with_name("origin.pem"), site.certificate.with_name("origin.key"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve("secp521r1")
    return context


@pytest.fixture(scope="module")
def origins_of_sni(world, site, tls_1_3_with_another_group):
    pages = o.serves_files(site.pages)
    made = {
        CHECKED: CountingOrigin(world.origin, ORIGIN, CHECKED, pages, site.tls),
        RETRYING: CountingOrigin(world.origin, ORIGIN, RETRYING, pages, tls_1_3_with_another_group),
    }
    yield made
    for server in made.values():
        server.close()


@pytest.fixture(scope="module")
def go_client(world):
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(go):
        pytest.skip("GO IS MISSING: Go's crypto/tls is not tested (scripts/setup installs it)")
    program = world.work / "bin" / "go-tls-client"
    program.parent.mkdir(exist_ok=True)
    subprocess.run([go, "build", "-o", program, "."], cwd=HELPERS / "gotls", check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    return program


@pytest.fixture(scope="module")
def sni_opa(world, go_client):
    endpoints = [
        {"host": host, "port": port, "enforcement": "enforce", "access": "full", "sni": "match"}
        for host in (CHECKED_HOST, ORIGIN)
        for port in (CHECKED, RETRYING)
    ]
    programs = ["/usr/bin/curl", "/usr/bin/openssl", shutil.which("node"), go_client, PYTHON]
    opa = Opa(world, {"checked": {"endpoints": endpoints, "binaries": paths(*programs)}}, name="sni-opa")
    yield opa
    opa.stop()


@pytest.fixture(scope="module")
def warder(world, sni_opa, dns, origins_of_sni):
    warder = Warder(world, sni_opa.url, timeouts={"client_hello": "4s"})
    try:
        yield warder
    finally:
        warder.stop()


class Caller:
    """Runs clients in the box: a tunnel to the approved host, and TLS with `name` in it."""

    def __init__(self, world, warder, certificate, go_client):
        self.world, self.warder, self.certificate, self.go_client = world, warder, certificate, go_client

    def run(self, *argv, stdin=b"", **environment):
        return run(self.world, self.world.box, *argv, stdin=stdin,
                   SSL_CERT_FILE=str(self.certificate), **environment)

    def curl(self, name, port):
        return self.run("curl", "-sS", "-m", "60", "-p", "-x", f"http://{GATE}:{self.warder.port}",
                        "--cacert", self.certificate, "--connect-to",
                        f"{name}:{port}:{CHECKED_HOST}:{port}", f"https://{name}:{port}/hello")

    def openssl(self, name, port):
        return self.run("openssl", "s_client", "-proxy", f"{GATE}:{self.warder.port}", "-connect",
                        f"{CHECKED_HOST}:{port}", "-servername", name, "-CAfile", self.certificate,
                        "-quiet", stdin=b"GET /hello HTTP/1.0\r\n\r\n")

    def go(self, name, port):
        return self.run(self.go_client, f"{GATE}:{self.warder.port}", f"{CHECKED_HOST}:{port}", name)

    def python(self, name, port):
        return self.run(PYTHON, "-c", URLLIB, GATE, self.warder.port, CHECKED_HOST, port, name)

    def node(self, name, port):
        return self.run("node", HELPERS / "connect.js", GATE, self.warder.port, CHECKED_HOST, port, name,
                        NODE_EXTRA_CA_CERTS=str(self.certificate))


CLIENTS = ["curl", "openssl", "go", "python", "node"]


@pytest.fixture
def caller(world, warder, site, go_client):
    return Caller(world, warder, site.certificate, go_client)


def sni_record(warder, mark):
    return warder.records.wait(lambda r: r.get("event") == "sni", "why the tunnel was closed", mark)


def tunnel_record(warder, mark):
    return warder.records.wait(lambda r: r.get("event") == "tunnel", "how the tunnel ended", mark)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("port", [CHECKED, RETRYING], ids=["plain", "asked again"])
def test_the_right_name_passes(caller, warder, client, port):
    mark = warder.mark()
    ran = getattr(caller, client)(CHECKED_HOST, port)
    assert b"hello from the origin" in ran.out, str(ran)
    record = tunnel_record(warder, mark)
    assert record["close_reason"] in ("end", "reset"), record
    assert record["bytes_up"] > 200 and record["bytes_down"] > 1000, record


# What each says about the alert.
COMPLAINTS = {
    "curl": b"unrecognized name", "openssl": b"unrecognized name", "go": b"unrecognized name",
    "python": b"UNRECOGNIZED_NAME", "node": b"unrecognized name",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_another_name_never_reaches_the_origin(caller, warder, origins_of_sni, client):
    mark = warder.mark()
    with origins_of_sni[CHECKED].silent():
        ran = getattr(caller, client)(OTHER_HOST, CHECKED)
        record = tunnel_record(warder, mark)
    assert ran.code != 0, str(ran)
    assert b"hello" not in ran.out, str(ran)
    assert COMPLAINTS[client] in ran.err, str(ran)
    assert (record["closed_by"], record["close_reason"]) == ("proxy", "sni_mismatch")
    assert (record["host"], record["bytes_up"], record["bytes_down"]) == (CHECKED_HOST, 0, 0)
    why = sni_record(warder, mark)
    assert (why["host"], why["server_name"], why["close_reason"]) == (
        CHECKED_HOST, OTHER_HOST, "sni_mismatch")
    assert why["request_id"] == record["request_id"]


def hello(name):
    """What Python's ssl module would send."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def test_a_client_hello_in_pieces_of_one_byte_passes(make_warder, world, sni_opa, origins_of_sni):
    """With the time that so many packets take on a busy machine."""
    warder = make_warder(sni_opa.url, timeouts={"client_hello": "40s"})
    before = origins_of_sni[CHECKED].all_arrived()
    with RawClient(world.box, (GATE, warder.port)) as client:
        assert client.connect(CHECKED_HOST, CHECKED).status == 200
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = hello(CHECKED_HOST)
        for i in range(len(whole)):
            assert origins_of_sni[CHECKED].arrived == before
            client.send(whole[i:i + 1])
            time.sleep(0.001)  # so that most of them are packets of their own
        assert client.read(3)[:2] == b"\x16\x03"  # a ServerHello
        assert origins_of_sni[CHECKED].arrived == before + len(whole)


def test_a_client_hello_sent_with_the_request_passes(world, warder):
    """In one packet with the CONNECT, and one byte in each record."""
    message = hello(CHECKED_HOST)[5:]
    records = b"".join(b"\x16\x03\x01\x00\x01" + message[i:i + 1] for i in range(len(message)))
    with RawClient(world.box, (GATE, warder.port)) as client:
        assert client.connect(CHECKED_HOST, CHECKED, early=records).status == 200
        assert client.read(2) == b"\x16\x03"


def alert(number):
    return bytes([21, 3, 3, 0, 2, 2, number])


ENCRYPTED = (HELLOS / "chromium").read_bytes().replace(b"api.example.com", CHECKED_HOST.encode().ljust(15, b"x"))

REFUSED = {
    "another name": (hello(OTHER_HOST), "sni_mismatch", alert(UNRECOGNIZED_NAME)),
    "no name": ((HELLOS / "openssl_noname").read_bytes(), "sni_missing", alert(MISSING_EXTENSION)),
    "not TLS": (b"GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n", "not_tls", b""),
    "SSH": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "not_tls", b""),
    "two names": ((HELLOS / "two_names").read_bytes(), "client_hello_malformed", alert(DECODE_ERROR)),
    "garbage": (b"\x16\x03\x01\x00\x05hello", "client_hello_malformed", alert(DECODE_ERROR)),
    "encrypted": (ENCRYPTED, "ech", alert(ACCESS_DENIED)),
    "too large": (b"\x16\x03\x01\x40\x00\x01\x00\xf0\x00" + bytes(20000), "client_hello_too_large",
                  alert(ACCESS_DENIED)),
    "nothing": (b"", "client_hello_timeout", b""),
    "half": (hello(CHECKED_HOST)[:40], "client_hello_timeout", alert(ACCESS_DENIED)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_closed_with_its_reason(world, warder, origins_of_sni, case):
    sent, reason, last_words = REFUSED[case]
    mark = warder.mark()
    with origins_of_sni[CHECKED].silent(), RawClient(world.box, (GATE, warder.port)) as client:
        reply = client.connect(CHECKED_HOST, CHECKED)
        client.send(sent)
        assert client.rest() == last_words
        record = warder.tunnel(reply.request_id)
        assert (record["closed_by"], record["close_reason"]) == ("proxy", reason)
    assert sni_record(warder, mark)["close_reason"] == reason


def test_a_slow_client_hello_has_one_deadline_for_all_of_it(world, warder, origins_of_sni):
    whole = hello(CHECKED_HOST)
    with origins_of_sni[CHECKED].silent(), RawClient(world.box, (GATE, warder.port)) as client:
        reply = client.connect(CHECKED_HOST, CHECKED)
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in whole:
                client.send(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < DEADLINE
        assert warder.tunnel(reply.request_id)["close_reason"] == "client_hello_timeout"


def test_a_second_client_hello_with_another_name_never_reaches_the_origin(world, warder, origins_of_sni):
    """The origin asks for it (HelloRetryRequest), and would go by its name."""
    server = origins_of_sni[RETRYING]
    first = hello(CHECKED_HOST)
    before = server.all_arrived()
    with RawClient(world.box, (GATE, warder.port)) as client:
        reply = client.connect(CHECKED_HOST, RETRYING)
        client.send(first)
        assert client.read(2) == b"\x16\x03"
        client.send(b"\x14\x03\x03\x00\x01\x01" + hello(OTHER_HOST))
        assert client.rest().endswith(alert(UNRECOGNIZED_NAME))
        record = warder.tunnel(reply.request_id)
    assert (record["close_reason"], record["bytes_up"]) == ("sni_mismatch", len(first))
    assert server.all_arrived() == before + len(first)


def test_an_approved_address_needs_no_name(caller, world, warder, site, origins_of_sni):
    url = f"https://{ORIGIN}:{CHECKED}/hello"
    ran = caller.run("curl", "-sS", "-m", "60", "-p", "-x", f"http://{GATE}:{warder.port}", "--cacert",
                     site.certificate, url)
    assert b"hello from the origin" in ran.out, str(ran)
    with origins_of_sni[CHECKED].silent(), RawClient(world.box, (GATE, warder.port)) as client:
        reply = client.connect(ORIGIN, CHECKED)
        client.send(hello(CHECKED_HOST))
        assert warder.tunnel(reply.request_id)["close_reason"] == "sni_mismatch"


def test_a_name_that_is_no_text_is_shown_escaped(world, warder, origins_of_sni):
    name = b"\xffvil\n.test"
    mark = warder.mark()
    sent = hello("1" * len(name) + ".x").replace(b"1" * len(name), name)
    with origins_of_sni[CHECKED].silent(), RawClient(world.box, (GATE, warder.port)) as client:
        client.connect(CHECKED_HOST, CHECKED)
        client.send(sent)
        assert client.rest() == alert(UNRECOGNIZED_NAME)
        assert sni_record(warder, mark)["server_name"] == "\\xffvil\n.test.x"


def test_a_client_that_leaves_in_between_leaves_nothing_behind(world, warder, origins_of_sni):
    head = connect_head(CHECKED_HOST, CHECKED)
    with origins_of_sni[CHECKED].silent():
        for sent, reason in ((b"", "end"), (hello(CHECKED_HOST)[:30], "client_hello_incomplete")):
            with RawClient(world.box, (GATE, warder.port)) as client:
                client.send(head)
                reply = client.reply()
                client.send(sent)
            record = warder.tunnel(reply.request_id)
            assert (record["closed_by"], record["close_reason"]) == ("client", reason)
    eventually(lambda: not warder.client_connections(), "all given back")
