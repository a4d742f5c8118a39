"""Expected against actual: which parameters of a device deviate. Pure."""

from __future__ import annotations

from exporter.config.schema import Expect, Servers
from exporter.vapix.reading import NtpClientReading


def mismatches(expected: Expect, client: NtpClientReading | None) -> tuple[str, ...]:
    """The parameters that deviate, named as in `expect`, in alphabetical order.

    What is expected and not reported deviates, all of it where there is no client section.
    """
    return tuple(
        name
        for name, wanted in sorted(expected.named().items())
        if client is None or not _matches(wanted, getattr(client, name))
    )


def _matches(wanted: object, actual: object) -> bool:
    if isinstance(wanted, Servers):
        return isinstance(actual, tuple) and _lists_match(wanted, actual)
    return wanted == actual


def _lists_match(wanted: Servers, actual: tuple[str, ...]) -> bool:
    # Host names know no case; whoever lists one twice has it once.
    expected = list(dict.fromkeys(server.lower() for server in wanted.servers))
    found = [server.lower() for server in actual]
    return expected == found if wanted.ordered else set(expected) == set(found)
