"""Clients: a raw one inside the test process, agents (a program of our own under any name), and real
programs."""

import json
import os
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .waiting import DEADLINE
from .world import CLIENT_UID

AGENT = Path(__file__).resolve().parents[1] / "helpers/agent.py"


@dataclass
class Reply:
    status: int
    phrase: str
    headers: dict
    body: bytes = b""
    head: bytes = field(default=b"", repr=False)

    @property
    def problem(self):
        return json.loads(self.body)

    @property
    def request_id(self):
        return self.headers["warder-request-id"]

    @property
    def decision_id(self):
        return self.headers.get("warder-decision-id")


def connect_head(host, port, *extra):
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}", *extra, "", ""]
    return "\r\n".join(lines).encode()


class RawClient:
    """A connection to the proxy from inside `space`, byte by byte under the test's control. Its program
    is the Python that runs the tests."""

    def __init__(self, space, to, source=None, family=socket.AF_INET):
        self.socket = space.socket(family)
        self.socket.settimeout(DEADLINE)
        if source:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(source)
        self.socket.connect(to)
        self.port = self.socket.getsockname()[1]
        self._stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def connect(self, host, port, early=b""):
        self.send(connect_head(host, port) + early)
        return self.reply()

    def reply(self):
        status_line = self._stream.readline()
        assert status_line, "the proxy closed without an answer"
        head = [status_line]
        while head[-1] not in (b"\r\n", b""):
            head.append(self._stream.readline())
        version, status, *phrase = status_line.decode().rstrip("\r\n").split(" ", 2)
        assert version == "HTTP/1.1", status_line
        headers = {}
        for line in head[1:-1]:
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        reply = Reply(int(status), "".join(phrase), headers, head=b"".join(head))
        if reply.status != 200:
            reply.body = self._stream.read(int(headers["content-length"]))
        return reply

    def read(self, size):
        data = self._stream.read(size)
        assert len(data) == size, f"{len(data)} bytes of {size}, then the end"
        return data

    def rest(self):
        return self._stream.read()

    def end_writing(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self._stream.close()
        self.socket.close()


class Agent:
    """helpers/agent.py, run by `program` (a Python interpreter under whatever path) inside `space`."""

    def __init__(self, world, space, program, user=CLIENT_UID, wrap=()):
        self.program = str(program)
        self._errors = open(world.work / f"agent-{id(self)}.err", "w+b")
        self.process = subprocess.Popen(
            space.command(*wrap, program, "-I", "-S", AGENT, user=user),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )
        self.pid = self.process.pid
        self.ask("hello")

    def tell(self, op, **arguments):
        self.process.stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        """What the last tell() gave."""
        watchdog = threading.Timer(2 * DEADLINE, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self._errors.seek(0)
            raise AssertionError(f"agent ended: {self._errors.read().decode(errors='replace')}")
        return json.loads(line)

    def ask(self, op, **arguments):
        self.tell(op, **arguments)
        return self.hear()

    def open(self, to, host, port, count=1, **more):
        """Connects `count` times and sends a CONNECT head on each; gives the local ports."""
        return self.ask("open", to=list(to), head=connect_head(host, port).decode(), count=count, **more)

    def statuses(self, payload=""):
        """The status of each answer; sends `payload` through what opened and closes everything."""
        return self.ask("statuses", payload=payload)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._errors.close()


@dataclass
class Ran:
    pid: int
    code: int
    out: bytes
    err: bytes

    def __str__(self):
        return f"exit {self.code}\n{self.out.decode(errors='replace')}\n{self.err.decode(errors='replace')}"


def run(world, space, *argv, stdin=b"", user=CLIENT_UID, seconds=2 * DEADLINE, **environment):
    """A real program inside `space`, to its end."""
    keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    process = subprocess.Popen(
        space.command(*argv, user=user),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**keep, "HOME": str(world.home), **environment}, cwd=world.home,
    )
    try:
        out, err = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{argv[0]} did not end: {out!r} {err!r}") from None
    return Ran(process.pid, process.returncode, out, err)
