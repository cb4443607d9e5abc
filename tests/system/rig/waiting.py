"""Waiting with a deadline. Deadlines are long because sanitizer builds on a busy machine are slow;
a test that passes never comes near one."""

import time

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
