"""How polls ended, made up."""

from exporter.clock.host import HostTime
from exporter.clock.http_time import ResponseTimes
from exporter.clock.offset import SECOND_NS
from exporter.devices.state import PollOutcome
from exporter.vapix.errors import DeviceError
from exporter.vapix.reading import Reading


def outcome(
    began_unix: float,
    seconds: float,
    result: Reading | DeviceError,
    began_steady: float = 0.0,
    sightings: tuple[ResponseTimes, ...] = (),
) -> PollOutcome:
    """A poll that began then, on both clocks, and took so long."""
    ended = HostTime(
        round((began_steady + seconds) * SECOND_NS), round((began_unix + seconds) * SECOND_NS)
    )
    return PollOutcome(ended, round(seconds * SECOND_NS), result, sightings)
