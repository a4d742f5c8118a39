"""Exposes what the kernel of the exporter's host says of its clock, as tests set it.

A target of its own, so that setting it needs no reload: Prometheus 2.42 forgets its Alertmanagers
at a reload, for up to 5 s, which are five minutes here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FLAG: Final = "axis_ntp_exporter_host_clock_synchronized"


@dataclass
class Kernel:
    """The flag, with the labels of the exporter's series; without a flag, nothing is exposed."""

    labels: Mapping[str, str]
    synchronized: bool | None = None

    def metrics(self) -> str:
        """Return the text that Prometheus scrapes."""
        if self.synchronized is None:
            return ""
        labels = ",".join(f"{name}={json.dumps(value)}" for name, value in self.labels.items())
        return f"{FLAG}{{{labels}}} {int(self.synchronized)}\n"
