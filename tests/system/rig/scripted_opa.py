"""Stands in for OPA where a real one can't do it: answers held back, cut off, of no sense."""

import json
import os
import queue
import socket
import threading

from .waiting import DEADLINE


def answer(document, status="200 OK"):
    body = json.dumps(document).encode()
    return raw_answer(body, status)


def raw_answer(body, status="200 OK"):
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


ALLOW = {"decision_id": "scripted", "result": {"allow": True, "reason": "scripted"}}


class Held:
    """A question that waits for its answer."""

    def __init__(self, question):
        self.question = question
        self._answer = queue.Queue(1)

    def release(self, reply):
        self._answer.put(reply)

    def wait(self):
        return self._answer.get(timeout=3 * DEADLINE)


class ScriptedOpa:
    """`script` gets the input of each question and returns the bytes of the answer, a Held, or None to
    close the connection. Warder's own probe is always allowed, and it is always healthy. `documents` has
    the answers for those that are read, or None, by path; others are undefined."""

    def __init__(self, world, name, script, documents=None):
        self.path = world.secret / f"{name}.sock"
        self.url = f"unix://{self.path}"
        self.script = script
        self.documents = documents or {}
        self.held = queue.Queue()
        self._open = set()
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                while self._one(connection, stream):
                    pass
        except (OSError, queue.Empty):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _one(self, connection, stream):
        length = 0
        line = stream.readline()
        if not line:
            return False
        method, path = line.split(b" ")[:2]
        while line not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            line = stream.readline()
        if method == b"GET":
            reply = self.documents.get(path.decode(), answer({}))
            connection.sendall(reply or b"")
            return reply is not None
        question = json.loads(stream.read(length) or b"{}").get("input", {})
        if question.get("host") == "probe.invalid":
            connection.sendall(answer(ALLOW))
            return True
        reply = self.script(question)
        if isinstance(reply, Held):
            self.held.put(reply)
            reply = reply.wait()
        if reply is None:
            return False
        connection.sendall(reply)
        # A reply that promises more than it holds has to be cut off by somebody.
        return reply.startswith(b"HTTP/1.1") and _complete(reply)

    def next_held(self):
        return self.held.get(timeout=DEADLINE)

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        os.unlink(self.path)


def _complete(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1]) <= len(body)
    return False
