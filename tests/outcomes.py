"""How polls ended, made up."""

from exporter.clock import SECOND_NS
from exporter.host_clock import HostTime
from exporter.reading import Reading
from exporter.state import Outcome
from exporter.vapix.errors import DeviceError
from exporter.vapix.sighting import Sighting


def outcome(
    began_unix: float,
    seconds: float,
    result: Reading | DeviceError,
    began_steady: float = 0.0,
    sightings: tuple[Sighting, ...] = (),
) -> Outcome:
    """A poll that began then, on both clocks, and took so long."""
    ended = HostTime(
        round((began_steady + seconds) * SECOND_NS), round((began_unix + seconds) * SECOND_NS)
    )
    return Outcome(ended, round(seconds * SECOND_NS), result, sightings)
