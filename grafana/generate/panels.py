"""The kinds of panels: each has a description and uses the selected datasource."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as queries

from grafana.generate import promql
from grafana.generate.colours import GREEN, NONE_IS_GOOD, NONE_OR_RED, PLAIN, Steps, Value

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The datasource that the user selects at the top of the dashboard."""


class Targeted(Protocol):
    """A panel that takes queries."""

    def with_target(self, target: Builder[Dataquery]) -> Self:
        """Add a query."""


P = TypeVar("P", bound=Targeted)


def asking(panel: P, *asked: prometheus.Dataquery) -> P:
    """Add queries to a panel, named A, B and so on."""
    for letter, query in zip(string.ascii_uppercase, asked, strict=False):
        panel.with_target(query.ref_id(letter))
    return panel


def instant(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query for the values at the end of the time range."""
    return _query(expression, legend).instant()


def ranged(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query for values over the time range; `legend` names each series."""
    return _query(expression, legend).range()


def rows(expression: str) -> prometheus.Dataquery:
    """Return a query for a table with one row per series."""
    return instant(expression).format(queries.PromQueryFormat.TABLE)


def bucketed(expression: str) -> prometheus.Dataquery:
    """Return a query for cumulative buckets, named by their label `le`."""
    return ranged(expression, "{{le}}").format(queries.PromQueryFormat.HEATMAP)


def _query(expression: str, legend: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expression).datasource(DATASOURCE)
    query = query.editor_mode(queries.QueryEditorMode.CODE)
    return query.legend_format(legend) if legend else query


def number(
    title: str, description: str, expression: str, unit: str = "short", colours: Steps = PLAIN
) -> stat.Panel:
    """Return a panel with one large number; the expression gives one series."""
    return asking(_stat(title, description, unit, colours), instant(expression))


def numbers(
    title: str, description: str, expressions: Mapping[str, tuple[str, Steps]]
) -> stat.Panel:
    """Return a panel with a few numbers and their names, each with its own colours."""
    panel = _stat(title, description, "short", PLAIN)
    for name, (_, colours) in expressions.items():
        panel.override_by_name(name, properties(thresholds=steps(colours).build()))
    return asking(panel, *(instant(each, name) for name, (each, _) in expressions.items()))


def firing(title: str) -> stat.Panel:
    """Return a panel that counts the firing alerts of the selected exporters and devices."""
    counts = {
        "critical": (promql.alerts("critical"), NONE_OR_RED),
        "warning": (promql.alerts("warning"), NONE_IS_GOOD),
    }
    text = (
        "Number of alerts that fire. Prometheus must have this exporter's alert rules; without them"
        " none ever fires."
    )
    return numbers(title, text, counts).no_value("none")


def share(title: str, description: str, part: str, whole: str, some: str = "text") -> stat.Panel:
    """Return a panel that shows two numbers as `238 of 400`; `some` is the colour unless 0 of 400.

    Grafana has no such unit: the query makes a label of both numbers, and the panel shows that.
    """
    counted = (
        f'count_values("part", {part}) * on () group_left (whole) count_values("whole", {whole})'
    )
    text = f'label_join({counted}, "shown", " of ", "part", "whole")'
    only = common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
    panel = _stat(title, description, "string", PLAIN).reduce_options(only.fields("/^shown$/"))
    none = "text" if some == "text" else GREEN
    return asking(panel.mappings(_patterns({"/^0 of/": none, "/ of /": some})), rows(text))


def _patterns(colours: Mapping[str, str]) -> list[models.ValueMapping]:
    """Return mappings that colour texts; the first pattern that matches counts."""
    return [
        models.RegexMap(
            models.DashboardRegexMapOptions(
                pattern, models.ValueMappingResult(color=colour, index=place)
            )
        )
        for place, (pattern, colour) in enumerate(colours.items())
    ]


def _stat(title: str, description: str, unit: str, colours: Steps) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .height(4)
        .span(3)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .thresholds(steps(colours))
    )


def meaning(
    title: str, description: str, expression: str, values: Mapping[int, Value]
) -> stat.Panel:
    """Return a panel that shows one number as a word."""
    return number(title, description, expression, "none").mappings(meanings(values))


def with_total(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw the series `total` as a line, not stacked on the others."""
    apart = common_models.StackingConfig(mode=common_models.StackingMode.NONE)
    return panel.override_by_name("total", properties(custom_stacking=apart, custom_fillOpacity=0))


def lines(title: str, description: str, unit: str = "short") -> timeseries.Panel:
    """Return a panel with lines over time."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .height(9)
        .span(12)
        .line_width(1)
        .fill_opacity(0)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(_tooltip())
    )


def stacked(title: str, description: str, unit: str = "short") -> timeseries.Panel:
    """Return a panel with stacked areas over time."""
    stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
    return lines(title, description, unit).stacking(stacking).fill_opacity(60).min(0)


def limited(panel: timeseries.Panel, limits: Steps) -> timeseries.Panel:
    """Draw the alert thresholds as dashed lines, without colouring the series."""
    style = common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED)
    return panel.thresholds(steps(limits)).thresholds_style(style)


def banded(panel: timeseries.Panel) -> timeseries.Panel:
    """Fill the band between the series `at least` and `at most`."""
    filled = properties(custom_fillBelowTo="at least", custom_fillOpacity=20)
    return panel.override_by_name(
        "at most", [*filled, *properties(custom_lineWidth=0)]
    ).override_by_name("at least", properties(custom_lineWidth=0))


def timeline(title: str, description: str, values: Mapping[int, Value]) -> statetimeline.Panel:
    """Return a panel with one bar per series over time, coloured by its value."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("none")
        .height(9)
        .span(12)
        .line_width(0)
        .fill_opacity(70)
        .merge_values(merge_values=True)
        .show_value(common_models.VisibilityMode.NEVER)
        .mappings(meanings(values))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .legend(_legend().show_legend(show_legend=False))
        .tooltip(_tooltip())
    )


def histogram(title: str, description: str, unit: str = "s") -> heatmap.Panel:
    """Return a heatmap of buckets over time; `unit` is that of the bounds."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("short")
        .height(9)
        .span(12)
        .calculate(calculate=False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit("short"))
        .max_data_points(120)
    )


def bars(title: str, description: str, unit: str = "short") -> bargauge.Panel:
    """Return a panel with one horizontal bar per series."""
    shown = common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .height(9)
        .span(8)
        .min(0)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .reduce_options(shown)
        .thresholds(steps([(None, "blue")]))
    )


def listing(
    title: str, description: str, columns: Mapping[str, str], hidden: Sequence[str] = ()
) -> table.Panel:
    """Return a table whose queries are merged by the labels they share.

    `columns` renames and orders fields (labels, `Value`, `Value #A` …); other
    fields, such as a device's own labels, follow unchanged. Each column has its own unit: with one
    unit for all columns, Grafana shows the text `007` as 7.
    """
    order = {name: place for place, name in enumerate(columns)}
    renamed = {name: text for name, text in columns.items() if name != text}
    excluded = dict.fromkeys(("Time", "__name__", *hidden), True)
    organized = {"excludeByName": excluded, "indexByName": order, "renameByName": renamed}
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(9)
        .span(12)
        .show_header(show_header=True)
        .override_by_field_type("string", properties(unit="string"))
        .override_by_regexp(".*", properties(custom_filterable=True))
        .with_transformation(models.DataTransformerConfig("merge", options={}))
        .with_transformation(models.DataTransformerConfig("organize", options=organized))
    )


def alert_list(title: str, description: str) -> dashboard.Panel:
    """Return Grafana's list of firing alerts. It reads the rules of every datasource itself."""
    states = ("error", "firing", "noData", "normal", "pending")
    options = {
        "alertName": "AxisNTP",
        "dashboardAlerts": False,
        "groupBy": [],
        "groupMode": "default",
        "maxItems": 20,
        "sortOrder": 3,  # by importance
        "stateFilter": {state: state == "firing" for state in states},
        "viewMode": "list",
    }
    panel = dashboard.Panel().type("alertlist").title(title).description(description)
    return panel.options(options).height(9).span(8)


def steps(colours: Steps) -> dashboard.ThresholdsConfig:
    """Return thresholds from pairs of a lower bound and a colour."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in colours])
    )


def meanings(values: Mapping[int, Value]) -> list[models.ValueMapping]:
    """Return mappings that show texts and colours instead of numbers."""
    options = {
        str(value): models.ValueMappingResult(text=text, color=colour, index=value)
        for value, (text, colour) in values.items()
    }
    return [models.ValueMap(options)]


def coloured(values: Mapping[int, Value]) -> list[models.DynamicConfigValue]:
    """Return the properties of a column that shows numbers as texts."""
    cell = common_models.TableColoredBackgroundCellOptions(
        common_models.TableCellBackgroundDisplayMode.BASIC
    )
    return properties(unit="none", mappings=meanings(values), custom_cellOptions=cell)


def judged(limits: Steps, unit: str = "s") -> list[models.DynamicConfigValue]:
    """Return the properties of a column of numbers, coloured by thresholds."""
    cell = common_models.TableColorTextCellOptions()
    return properties(unit=unit, thresholds=steps(limits).build(), custom_cellOptions=cell)


def counted(limits: Steps) -> list[models.DynamicConfigValue]:
    """Return the properties of a column of counts, coloured by thresholds."""
    return judged(limits, "short")


def links(title: str, url: str) -> list[models.DynamicConfigValue]:
    """Return the property of a column whose cells are links."""
    return properties(links=[{"title": title, "url": url}])


def properties(**values: object) -> list[models.DynamicConfigValue]:
    """Return the properties of an override; `custom_width` means `custom.width`."""
    return [
        models.DynamicConfigValue(name.replace("custom_", "custom.", 1), value)
        for name, value in values.items()
    ]


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )


def _tooltip() -> common.VizTooltipOptions:
    return (
        common.VizTooltipOptions()
        .mode(common_models.TooltipDisplayMode.MULTI)
        .sort(common_models.SortOrder.DESCENDING)
    )
