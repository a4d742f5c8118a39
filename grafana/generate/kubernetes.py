"""The alert rules and the dashboards as objects for Kubernetes: `deploy/kubernetes`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

from exporter.config import Thresholds
from exporter.rules.render import as_custom_resource, render_rules
from grafana import generate

FOLDER: Final = Path(__file__).parents[2] / "deploy/kubernetes"

_RULE: Final = """\
# For the Prometheus operator: the alerts with the default thresholds. `make dashboards` writes it.
# For other thresholds, an overlay patches it with the output of `axis-ntp-exporter rules
# --format=operator`: see docs/scaling.md.
"""
_CONFIG_MAP: Final = """\
# For the sidecar of Grafana's Helm chart, which loads every ConfigMap that has this label.
# `make dashboards` writes this file.
apiVersion: v1
kind: ConfigMap
metadata:
  name: {uid}-dashboard
  labels:
    app.kubernetes.io/name: axis-ntp-exporter
    grafana_dashboard: "1"
data:
  {uid}.json: |
"""


def files() -> dict[Path, str]:
    """Return the text of the PrometheusRule's file and of each dashboard's ConfigMap."""
    rule = _RULE + as_custom_resource(render_rules(Thresholds()))
    maps = {
        FOLDER / f"dashboards/{file.stem}.yaml": _config_map(file.stem, text)
        for file, text in generate.files().items()
    }
    return {FOLDER / "prometheusrule.yaml": rule, **maps}


def _config_map(uid: str, dashboard: str) -> str:
    return _CONFIG_MAP.format(uid=uid) + textwrap.indent(dashboard, "    ")
