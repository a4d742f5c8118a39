"""Ask a time server once."""

from dataclasses import dataclass

from exporter.time_servers.client import NotSent
from exporter.time_servers.monitor import Query
from exporter.time_servers.sntp import QueryFailed, TimeAnswer
from exporter.time_servers.targets import TimeServerTarget


@dataclass(slots=True)
class ServerCheck:
    """A time server, with its answer or why there is none; neither until the query ends."""

    target: TimeServerTarget
    answer: TimeAnswer | None = None
    error: str = ""


async def ask_server(check: ServerCheck, query: Query, timeout_seconds: float) -> None:
    """Ask a server once, and keep the result."""
    target = check.target
    try:
        check.answer = await query(target.host, target.port, timeout_seconds, 0, is_configured=True)
    except (QueryFailed, NotSent) as problem:
        check.error = str(problem)
