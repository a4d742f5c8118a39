"""The series that statements are made from; docs/evidence.md lists them."""

from typing import Final

OFFSET: Final = "axis_ntp_clock_offset_seconds"

DEVICE_SERIES: Final = (
    OFFSET,
    "axis_ntp_clock_offset_uncertainty_seconds",
    "axis_ntp_clock_steps_total",
    "axis_ntp_last_poll_timestamp_seconds",
    "axis_ntp_polls_total",
    "axis_ntp_synced",
)
"""Of a device; without any of the first four there is no statement."""

HOST_SERIES: Final = (
    "axis_ntp_exporter_host_clock_offset_seconds",
    "axis_ntp_exporter_host_clock_offset_uncertainty_seconds",
)
"""Of an exporter that asks time servers."""

SERVER_SERIES: Final = (
    "axis_ntp_time_server_offset_seconds",
    "axis_ntp_time_server_offset_uncertainty_seconds",
    "axis_ntp_time_server_selectable",
)
"""Of each time server; they tell how many agree."""

DURATION: Final = "axis_ntp_poll_duration_seconds"
INFO: Final = "axis_ntp_device_info"
KERNEL: Final = "axis_ntp_exporter_host_clock_synchronized"
