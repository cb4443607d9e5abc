"""The test program of helpers/program, which does what it is told: honest or not."""

import shutil
import subprocess
import threading
from pathlib import Path

from .waiting import DEADLINE
from .world import CLIENT_UID

SOURCES = Path(__file__).resolve().parents[1] / "helpers/program"


def build(target):
    subprocess.run(
        [shutil.which("cc"), "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", target,
         *sorted(SOURCES.glob("*.c"))],
        check=True,
    )


class Program:
    """One process of it inside `space`. Ends with the block."""

    def __init__(self, world, space, path, user=CLIENT_UID, wrap=(), arguments=()):
        self.path = path
        self._errors = open(world.work / f"program-{id(self)}.err", "w+b")
        command = space.command(*wrap, user=user)
        self.process = subprocess.Popen(
            [*command, path, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self.pid = self.process.pid

    def tell(self, *orders):
        self.process.stdin.write(";".join(orders).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        """The answer to each order, in words."""
        watchdog = threading.Timer(2 * DEADLINE, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline().decode()
        finally:
            watchdog.cancel()
        if not line:
            self._errors.seek(0)
            raise AssertionError(f"{self.path} ended: {self._errors.read()!r}")
        answers = [answer.split() for answer in line.strip().split(";")]
        assert all(words[0] == "ok" for words in answers), line
        return [words[1:] for words in answers]

    def ask(self, *orders):
        """What the last order gave."""
        self.tell(*orders)
        return self.hear()[-1]

    def open(self, to, host, port, count=1, source=None, then=()):
        """Connects and sends a CONNECT head on each connection; the local ports."""
        places = [*to, count, *(source or ())]
        self.tell("connect " + " ".join(map(str, places)), f"head {host} {port}", *then)
        return list(map(int, self.hear()[0]))

    def statuses(self):
        """The status of each connection's answer; 0 where there was none."""
        return list(map(int, self.ask("statuses")))

    def end(self):
        """Its number is free afterwards."""
        self.ask("quit")
        self.process.wait(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._errors.close()
        Path(self._errors.name).unlink()
