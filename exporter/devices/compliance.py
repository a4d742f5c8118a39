"""Compare a device's NTP settings with the expected ones. Pure."""

from exporter.config.schema import Expect, Servers
from exporter.vapix.ntp_info import NtpClientReading


def find_mismatches(expect: Expect, client: NtpClientReading | None) -> tuple[str, ...]:
    """Return the parameters that differ, named as in `expect`, in alphabetical order.

    An expected parameter that the device does not report differs; without a client section all
    of them do.
    """
    return tuple(
        name
        for name, wanted in sorted(expect.named().items())
        if client is None or not _matches(wanted, getattr(client.settings, name))
    )


def _matches(wanted: object, actual: object) -> bool:
    if isinstance(wanted, Servers):
        return isinstance(actual, tuple) and _lists_match(wanted, actual)
    return wanted == actual


def _lists_match(wanted: Servers, actual: tuple[str, ...]) -> bool:
    # Host names are not case-sensitive, and a server that is listed twice counts once.
    expected = list(dict.fromkeys(server.lower() for server in wanted.servers))
    found = [server.lower() for server in actual]
    return expected == found if wanted.ordered else set(expected) == set(found)
