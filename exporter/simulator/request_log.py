"""The requests that a simulated device has received, for tests."""

from collections import Counter, deque
from dataclasses import dataclass, field

from exporter.simulator.wire import Request

REMEMBERED_REQUESTS = 8
"""How many of the last requests are kept: ten thousand devices must fit in one process."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request and the status of its reply; `api_method` is None unless the API was reached."""

    request: Request
    status: int
    api_method: str | None


@dataclass(slots=True)
class RequestLog:
    """Counters since the start or the last `clear`, and the last few requests, oldest first.

    `total` counts every HTTP request, `authorized` those with valid credentials. `statuses` and
    `api_methods` count replies by HTTP status and by API method.
    """

    connections: int = 0
    total: int = 0
    authorized: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    api_methods: Counter[str] = field(default_factory=Counter)
    recent: deque[SeenRequest] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))

    @property
    def last(self) -> Request:
        """The latest request. Raises IndexError if there was none."""
        return self.recent[-1].request

    def record(
        self, request: Request, status: int, api_method: str | None, *, authorized: bool
    ) -> None:
        """Count one request and keep it."""
        self.total += 1
        self.authorized += authorized
        self.statuses[status] += 1
        if api_method is not None:
            self.api_methods[api_method] += 1
        self.recent.append(SeenRequest(request, status, api_method))

    def clear(self) -> None:
        """Reset the counters and discard the requests."""
        self.connections = self.total = self.authorized = 0
        self.statuses.clear()
        self.api_methods.clear()
        self.recent.clear()
