"""The numbers at which the alerts fire: where colours change, too.

They are those of `grafana/rules/axis-ntp.rules.yml`; a test holds them together.
"""

from __future__ import annotations

from typing import Final

FLEET_UP_RATIO: Final = 0.8
"""AxisNTPFleetUnreachable: under this share of the devices up."""

OFFSET_WARNING_SECONDS: Final = 0.1
OFFSET_CRITICAL_SECONDS: Final = 1.0
"""AxisNTPOffsetHigh: of what the device says."""

SKEW_WARNING_SECONDS: Final = 0.5
SKEW_CRITICAL_SECONDS: Final = 2.0
"""AxisNTPClockSkew: of what is certain, offset less uncertainty."""

SUSPECT_SECONDS: Final = 0.5
"""AxisNTPExporterClockSuspect: of the median of an exporter's devices."""

LATE_SECONDS: Final = 5.0
"""AxisNTPExporterPollsLate: of the lateness's p99."""

OVERDUE_SECONDS: Final = 300.0
"""AxisNTPPollsStalled: since the next poll was due."""

FEW_SERVERS: Final = 1
"""AxisNTPSingleServer; with none in force it is AxisNTPNoActiveServers."""

STEP_WINDOW: Final = "15m"
"""AxisNTPClockStepped: a step within this time."""
