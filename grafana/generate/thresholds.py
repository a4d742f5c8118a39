"""Thresholds at which panel colours change and at which graphs have dashed lines.

They equal those of `grafana/rules/axis-ntp.rules.yml`, and OFFSET and SKEW also the defaults of
`thresholds` in the config, which tests verify.
"""

from __future__ import annotations

from typing import Final

FLEET_UP_RATIO: Final = 0.8
"""AxisNTPFleetUnreachable: share of the devices that are up."""

OFFSET_WARNING_SECONDS: Final = 0.1
OFFSET_CRITICAL_SECONDS: Final = 1.0
"""AxisNTPOffsetHigh: reported offset."""

SKEW_WARNING_SECONDS: Final = 0.5
SKEW_CRITICAL_SECONDS: Final = 2.0
"""AxisNTPClockSkew: measured offset minus uncertainty."""

SUSPECT_SECONDS: Final = 0.5
"""AxisNTPExporterClockSuspect: median measured offset of an exporter's devices."""

LATE_SECONDS: Final = 5.0
"""AxisNTPExporterPollsLate: p99 of the lateness."""

OVERDUE_SECONDS: Final = 300.0
"""AxisNTPPollsStalled: time since the next poll was due."""

INTERVALS_UNCHANGED: Final = 4
UNCHANGED_SECONDS: Final = 4096
"""AxisNTPSyncStalled: longest intervals, or seconds if unknown, with the same reported offset."""

CERTIFICATE_DAYS: Final = 21
"""AxisNTPCertificateExpiring: time until a device's certificate ends."""

FEW_SERVERS: Final = 1
"""AxisNTPSingleServer; AxisNTPNoActiveServers fires for none."""

STEP_WINDOW: Final = "15m"
"""AxisNTPClockStepped: window in which a step counts."""
