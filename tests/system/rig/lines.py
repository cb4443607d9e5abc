"""Reads a child's output line by line on a thread, so that tests can wait for what it says."""

import json
import threading
import time

from .waiting import DEADLINE


class JsonLines:
    """Every line of `stream` as a JSON object; a line that is none is kept in `broken`."""

    def __init__(self, stream, name):
        self.name = name
        self.objects = []
        self.raw = []
        self.broken = []
        self._stream = stream
        self._changed = threading.Condition()
        self._may_read = threading.Event()
        self._may_read.set()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name=f"lines of {name}", daemon=True)
        self._thread.start()

    def _read(self):
        for line in iter(self._stream.readline, b""):
            self._add(line)
            self._may_read.wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _add(self, line):
        with self._changed:
            self.raw.append(line)
            try:
                self.objects.append(json.loads(line))
            except ValueError:
                self.broken.append(line)
            self._changed.notify_all()

    def stall(self):
        """From here on nobody reads the stream."""
        self._may_read.clear()

    def resume(self):
        self._may_read.set()

    def mark(self):
        with self._changed:
            return len(self.objects)

    def since(self, mark=0):
        with self._changed:
            return self.objects[mark:]

    def wait(self, matches, what, mark=0, seconds=DEADLINE):
        """The first object from `mark` on for which `matches` is true."""
        end = time.monotonic() + seconds
        seen = mark
        with self._changed:
            while True:
                while seen < len(self.objects):
                    if matches(self.objects[seen]):
                        return self.objects[seen]
                    seen += 1
                left = end - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(
                        f"{self.name} never said {what}; its last lines: {self.objects[mark:][-8:]}"
                        f" {self.broken[-3:]}"
                    )
                self._changed.wait(left)

    def join(self):
        self.resume()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"{self.name} is gone but its output is still open"
