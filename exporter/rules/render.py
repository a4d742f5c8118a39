"""Fill the thresholds into the template of the rules. Pure."""

import textwrap
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.config import Thresholds
from exporter.devices.health import CERTIFICATE_DAYS

_TEMPLATES: Final = Environment(
    loader=PackageLoader("exporter.rules", "."),
    # The rules are full of Prometheus's own {{ }}. The output is YAML, not HTML.
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
    autoescape=False,  # noqa: S701
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
# Thresholds are whole milliseconds: 0.1, not 0.10000000000000001.
_TEMPLATES.filters["number"] = "{:.15g}".format

_CUSTOM_RESOURCE: Final = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: axis-ntp
  labels:
    app.kubernetes.io/name: axis-ntp-exporter
spec:
"""


def render_rules(thresholds: Thresholds, healthy_path: str = "/-/healthy") -> str:
    """Return a rule file of Prometheus with these thresholds and this path of the health check."""
    template = _TEMPLATES.get_template("axis-ntp.rules.yml")
    return template.render(
        offset=thresholds.offset,
        skew=thresholds.skew,
        certificate_days=CERTIFICATE_DAYS,
        healthy_path=healthy_path,
    )


def as_custom_resource(rules: str) -> str:
    """Return a rule file as a PrometheusRule of the Prometheus Operator."""
    return _CUSTOM_RESOURCE + textwrap.indent(rules, "  ")
