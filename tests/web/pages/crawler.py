"""Follows every link, file and form of the pages, as a browser finds them."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

_REFERENCE: Final = re.compile(r'<(\w+)[^>]*?\s(href|src|action)="([^"]*)"[^>]*>')


class Reply(NamedTuple):
    """What came back for a path: `location` is empty unless it is a redirect."""

    status: int
    is_page: bool
    text: str
    location: str = ""


Ask = Callable[[str, str], Awaitable[Reply]]
"""Sends a request of a method for a path with its query, as they are."""


@dataclass
class Crawl:
    """The replies by method and path, of the site at `origin`.

    Of the `fleet` page, one link of each set of filters is followed: together they are too many.
    """

    ask: Ask
    fleet: str
    origin: str = "http://site"
    replies: dict[tuple[str, str], Reply] = field(default_factory=dict)
    _seen: set[tuple[str, ...]] = field(default_factory=set)

    async def from_page(self, start: str) -> None:
        """Ask for a page, and for all that it and the pages it leads to refer to."""
        waiting = [("GET", start)]
        while waiting:
            method, path = waiting.pop()
            if (key := self._key(method, path)) in self._seen:
                continue
            self._seen.add(key)
            reply = await self.ask(method, path)
            self.replies[method, path] = reply
            waiting += self._referred(path, reply)

    def _referred(self, path: str, reply: Reply) -> list[tuple[str, str]]:
        found = [("GET", reply.location)] if reply.location else []
        if reply.is_page:
            found += [
                ("POST" if 'method="post"' in tag[0] else "GET", html.unescape(tag[3]))
                for tag in _REFERENCE.finditer(reply.text)
            ]
        urls = [(method, urljoin(self.origin + path, to)) for method, to in found]
        return [
            (method, _without_fragment(url.removeprefix(self.origin)))
            for method, url in urls
            if url.startswith(f"{self.origin}/")
        ]

    def _key(self, method: str, path: str) -> tuple[str, ...]:
        url = urlsplit(path)
        if url.path != self.fleet:
            return (method, path)
        return (method, url.path, *sorted({name for name, _ in parse_qsl(url.query)}))

    @property
    def paths(self) -> set[str]:
        """The paths without queries."""
        return {urlsplit(path).path for _, path in self.replies}

    def refused(self) -> dict[tuple[str, str], int]:
        """Return the status of each request that failed."""
        return {key: each.status for key, each in self.replies.items() if each.status >= 400}


def _without_fragment(path: str) -> str:
    return path.partition("#")[0]
