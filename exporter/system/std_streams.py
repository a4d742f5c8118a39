"""Standard streams that whoever started us has closed."""

from __future__ import annotations

import os
import sys
from typing import Final

_STREAMS: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_closed_streams() -> None:
    """Open the null device in the place of each standard stream that is closed.

    Else its number goes to the next file or socket, and what is printed goes into that.
    """
    for name, mode in _STREAMS.items():
        if getattr(sys, name) is None:
            # In their order, so that each gets its own number: the lowest that is free.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
