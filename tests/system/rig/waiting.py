"""Waiting with a deadline. Deadlines are long because sanitizer builds on a busy machine are slow;
a test that passes never comes near one."""

import contextlib
import os
import signal
import time
from pathlib import Path

DEADLINE = 40.0


def eventually(condition, what, seconds=DEADLINE):
    """The first true value of `condition`, for state nobody announces (another process's tables)."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)


def stop_process(pid):
    """SIGSTOP, and every thread of it has stopped: kill(2) returns before they have."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _thread_states(pid) == {"T"}, f"every thread of {pid} has stopped")


def _thread_states(pid):
    states = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            states.add((task / "stat").read_text().rsplit(")", 1)[1].split()[0])
    return states
