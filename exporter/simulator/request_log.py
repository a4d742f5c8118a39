"""What a simulated device remembers of its visitors, for tests to ask."""

from collections import Counter, deque
from dataclasses import dataclass, field

REMEMBERED_REQUESTS = 8
"""So many of the last requests are kept whole: ten thousand devices must fit in one process."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request and what became of it; `api_method` is None unless the API was reached."""

    method: str
    target: str
    authorization: str | None
    content_type: str | None
    body: bytes
    host_nanoseconds: int
    status: int
    api_method: str | None


@dataclass(slots=True)
class RequestLog:
    """Counters since the start or the last `clear`, and the last few requests, oldest first.

    `total` counts every HTTP request, `authorized` those that authentication let in. `statuses`
    and `api_methods` count replies by HTTP status and by method of the API.
    """

    connections: int = 0
    total: int = 0
    authorized: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    api_methods: Counter[str] = field(default_factory=Counter)
    recent: deque[SeenRequest] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))

    @property
    def last(self) -> SeenRequest:
        """The latest request. Raises IndexError if there was none."""
        return self.recent[-1]

    def note(self, seen: SeenRequest, *, authorized: bool) -> None:
        """Count one request."""
        self.total += 1
        self.authorized += authorized
        self.statuses[seen.status] += 1
        if seen.api_method is not None:
            self.api_methods[seen.api_method] += 1
        self.recent.append(seen)

    def clear(self) -> None:
        """Start counting anew."""
        self.connections = self.total = self.authorized = 0
        self.statuses.clear()
        self.api_methods.clear()
        self.recent.clear()
