"""Texts of the whole fleet that rarely change: made once per change, whoever asks how often."""

import asyncio
from collections.abc import Callable, Sequence
from operator import is_
from typing import Generic, TypeVar

from exporter.system.slices import free_in_slices

T = TypeVar("T")


class RenderedText(Generic[T]):
    """The text that `render` makes, in a thread, from what `read` returns.

    It is made again only after `read` has returned other objects, and never twice at once.
    """

    def __init__(self, read: Callable[[], list[T]], render: Callable[[Sequence[T]], str]) -> None:
        self._read = read
        self._render = render
        self._made_of: list[T] | None = None
        self._body = b""
        self._lock = asyncio.Lock()

    async def body(self) -> bytes:
        """Return the text as UTF-8."""
        async with self._lock:
            now = self._read()
            if self._made_of is None or not _are_same(now, self._made_of):
                self._body = await asyncio.to_thread(lambda: self._render(now).encode())
                before, self._made_of = self._made_of, now
                await free_in_slices(before or [])
            return self._body


def _are_same(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(map(is_, one, other))
