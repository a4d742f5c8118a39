"""Whether this host's wall clock kept pace with its steady clock during a test."""

from exporter.clock.host import HostClock, HostTime
from exporter.clock.offset import SECOND_NS


class WallClock:
    """Watches the wall clock against the steady one, from now on.

    Simulated devices show the host's wall clock: if it is set, their clocks are set too.
    """

    def __init__(self) -> None:
        self._host = HostClock()
        self._seen: list[HostTime] = []
        self.now()

    def now(self) -> HostTime:
        self._seen.append(self._host.now())
        return self._seen[-1]

    def moved_seconds(self) -> float:
        """Return the largest difference between the readings, one more included."""
        self.now()
        differences = [seen.unix_minus_steady_ns for seen in self._seen]
        return (max(differences) - min(differences)) / SECOND_NS
