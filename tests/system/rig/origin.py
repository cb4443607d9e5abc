"""Origins: servers in the origin namespace that remember who reached them."""

import contextlib
import hashlib
import http.server
import socket
import ssl
import subprocess
import threading

from .waiting import DEADLINE


class Origin:
    """Accepts on one address and port, and runs `handler(socket)` for each connection on a thread.
    A connection counts from the moment it is accepted, before TLS says anything."""

    def __init__(self, space, address, port, handler, tls=None):
        self.address, self.port = address, port
        self._handler, self._tls = handler, tls
        self._lock = threading.Lock()
        self._count = 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = space.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._count += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(3 * DEADLINE)
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._handler(connection)

    def connections(self):
        with self._lock:
            return self._count

    @contextlib.contextmanager
    def untouched(self):
        """Nobody connects while the block runs."""
        before = self.connections()
        yield
        assert self.connections() == before, f"a request that must not reached {self.address}:{self.port}"

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def echo_or_page(connection):
    """A page for who speaks HTTP, an echo for everybody else; both say "hello echo"."""
    data = connection.recv(65536)
    if data.startswith(b"GET "):
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhello echo")
        return
    connection.sendall(data)
    echo(connection)


def speaks_first(connection):
    connection.sendall(b"220 hello, who are you?\r\n")
    echo(connection)


def pattern(seed, size):
    """`size` bytes that differ for each seed and at each place."""
    block = hashlib.sha256(str(seed).encode()).digest() * 2048
    return (block * (size // len(block) + 1))[:size]


ANSWER_BYTES = 2_000_000


def answers_after_the_end(connection):
    """Reads to the end of the request, and only then answers."""
    digest = hashlib.sha256()
    while data := connection.recv(65536):
        digest.update(data)
    connection.sendall(digest.hexdigest().encode() + pattern("answer", ANSWER_BYTES))


def exchanges(connection):
    """Sends as much as it gets, both at once. The first line says how much: "SIZE SEED\\n". Then comes
    the checksum of what it got."""
    stream = connection.makefile("rb")
    size, seed = stream.readline().split()
    size = int(size)

    sender = threading.Thread(target=connection.sendall, args=(pattern(seed.decode(), size),))
    sender.start()
    digest, left = hashlib.sha256(), size
    while left:
        data = stream.read1(min(left, 1 << 18))
        if not data:
            return
        digest.update(data)
        left -= len(data)
    sender.join()
    connection.sendall(digest.hexdigest().encode())


def serves_files(directory):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, connection):
            super().__init__(connection, ("", 0), None, directory=str(directory))

        def log_message(self, *_):
            pass

    return Handler


def make_tls(work, names):
    """A self-signed certificate for `names`: (server context, path of the certificate)."""
    key, certificate = work / "origin.key", work / "origin.pem"
    kinds = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "7", "-subj", "/CN=warder test origin", "-addext",
         f"subjectAltName={kinds}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )
    certificate.chmod(0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
