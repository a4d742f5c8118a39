"""How often Python looks for garbage that reference counts miss: seldom, for polls leave little.

Left alone, the collector runs at every second poll, takes an eighth of a poll's CPU, and now and
then walks through everything that is known of ten thousand devices, in one piece.
"""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (20_000, 20, 100)


def collect_seldom() -> None:
    """Let the collector run only after that many more objects were made than went."""
    gc.set_threshold(*_THRESHOLDS)


def freeze_existing_objects() -> None:
    """Take what exists now, config and devices, out of every later collection."""
    gc.collect()
    gc.freeze()
