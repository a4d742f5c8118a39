"""An event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Never blocks: advances the clock by the time that the loop would have waited."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the loop would wait forever: no timer is left")
        self._jump(timeout)
        return super().select(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s; only timers advance `time()`. For code without real sockets."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._advance))

    def _advance(self, seconds: float) -> None:
        self._now += max(0.0, seconds)

    def time(self) -> float:
        return self._now


def run_in_fake_time(main: Callable[[FakeTimeLoop], Coroutine[Any, Any, None]]) -> None:
    """Run `main(loop)` to its end without waiting."""
    loop = FakeTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))
