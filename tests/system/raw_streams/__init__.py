"""The table of raw byte streams: what a client sends, and what comes of it."""

from .answers import ANSWERS
from .refused import REFUSED
from .row import AWAIT, PIECES, Row
from .served import SERVED

__all__ = ["AWAIT", "PIECES", "ROWS", "Row"]

ROWS = SERVED + REFUSED + ANSWERS
