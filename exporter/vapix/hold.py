"""A request that waits on its ready connection for the moment that tells most of the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.clock.host import steady_ns
from exporter.clock.phase import SHORTEST_HOLD_NS


class Hold:
    """Holds a poll's first request back; `held_ns` is for how long, which is not the device's time.

    `until_ns` is on the clock `steady`, 0 for no hold at all. While a request is held, the
    `deadline` that is set is put off by as much.
    """

    __slots__ = ("_steady", "_until_ns", "deadline", "held_ns")

    def __init__(self, until_ns: int = 0, steady: Callable[[], int] = steady_ns) -> None:
        self._until_ns = until_ns
        self._steady = steady
        self.held_ns = 0
        self.deadline: asyncio.Timeout | None = None

    def left_ns(self, ready_ns: int) -> int:
        """For how long a request that could leave at `ready_ns` is to wait."""
        early_ns = self._until_ns - ready_ns
        return early_ns if early_ns > SHORTEST_HOLD_NS else 0

    async def wait(self) -> None:
        """There is a connection: return when the request is to leave."""
        ready_ns = self._steady()
        if not (left_ns := self.left_ns(ready_ns)):
            return
        self._put_off(left_ns)
        await asyncio.sleep(left_ns / 1e9)
        self.held_ns += self._steady() - ready_ns

    def _put_off(self, left_ns: int) -> None:
        if self.deadline is not None and (when := self.deadline.when()) is not None:
            self.deadline.reschedule(when + left_ns / 1e9)
