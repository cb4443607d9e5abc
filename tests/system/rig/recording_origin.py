"""An origin that keeps every byte it gets, and answers as its script says."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass

from .waiting import DEADLINE
from .wire import Ended, NotHttp, Wire, read_body, read_request_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Answer:
    """What one request gets. `at_head` is sent when its head is there, `data` when all of it is. With
    `early` the rest of the request is not waited for. `then` is what happens to the connection: keep,
    close, reset, or echo (whatever comes is sent back). `data` may be a function of the whole request."""

    data: object = OK
    at_head: bytes = b""
    early: bool = False
    then: str = "keep"
    wait_for: threading.Event = None  # before `data` is sent


class Taken:
    """One connection as the origin had it."""

    def __init__(self, wire, peer):
        self.wire = wire
        self.peer = peer
        self.requests = []  # in the order of their heads
        self.problem = None  # why it is no HTTP as it should be
        self.echoed = b""
        self.over = threading.Event()


class RecordingOrigin:
    """One listener for a whole range of addresses: each is a place of its own, with its script and its
    record. A script is a list of answers, of which the last is given again and again, or a function that
    gets a request's head and gives the answer."""

    def __init__(self, space, port, address="0.0.0.0"):
        self.port = port
        self._scripts = {}
        self._places = {}
        self._requests = {}
        self._lock = threading.Lock()
        self._listener = space.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def script(self, address, answers):
        self._scripts[address] = answers if callable(answers) else list(answers)
        self._places[address], self._requests[address] = [], []

    def taken(self, address):
        """The connections made to that address so far."""
        with self._lock:
            return list(self._places.get(address, []))

    def requests(self, address):
        """On all of them, in the order of their heads."""
        with self._lock:
            return list(self._requests.get(address, []))

    def _accept(self):
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, connection, peer):
        connection.settimeout(3 * DEADLINE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = connection.getsockname()[0]
        taken = Taken(Wire(connection), peer)
        with self._lock:
            self._places.setdefault(address, []).append(taken)
        try:
            self._answer(connection, address, taken)
        except NotHttp as problem:
            taken.problem = str(problem)
        except (Ended, OSError):
            pass
        finally:
            with contextlib.suppress(OSError):
                connection.close()
            taken.over.set()

    def _next_answer(self, address, request):
        with self._lock:
            script = self._scripts.get(address) or [Answer()]
            if callable(script):
                return script(request)
            return script.pop(0) if len(script) > 1 else script[0]

    def _answer(self, connection, address, taken):
        while (request := read_request_head(taken.wire)) is not None:
            with self._lock:
                taken.requests.append(request)
                self._requests.setdefault(address, []).append(request)
            answer = self._next_answer(address, request)
            if answer.at_head:
                connection.sendall(answer.at_head)
            if not answer.early:
                read_body(taken.wire, request)
            if answer.wait_for:
                answer.wait_for.wait()
            connection.sendall(answer.data(request) if callable(answer.data) else answer.data)
            if answer.then == "echo":
                self._echo(connection, taken)
                return
            if answer.then == "close":
                self._close(connection, taken)
                return
            if answer.then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if answer.early:
                read_body(taken.wire, request)

    @staticmethod
    def _close(connection, taken):
        """Its own side first: bytes still coming in would turn the end into a reset."""
        connection.shutdown(socket.SHUT_WR)
        taken.wire.rest()

    @staticmethod
    def _echo(connection, taken):
        while not taken.wire.idle():
            data = bytes(taken.wire.received[taken.wire.at :])
            taken.wire.at = len(taken.wire.received)
            taken.echoed += data
            connection.sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
