"""What is kept twice agrees: catalogue, docs, README, flags, pins."""

import argparse
import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from exporter.cli import COMMANDS, make_parser
from exporter.config.load import KNOWN_KEYS
from exporter.metrics import DEVICE_METRICS
from exporter.self_metrics import SelfMetrics
from exporter.vapix.errors import REASONS, DeviceError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
METRICS = (ROOT / "docs/metrics.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


SUFFIX = {"counter": "_total"}
"""What a family's samples add to its name."""


def rows(text: str, first: str) -> list[str]:
    """The table rows whose first cell begins with `first`."""
    return [line for line in text.splitlines() if line.startswith(f"| `{first}")]


def code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def test_the_readme_lists_exactly_the_catalogue() -> None:
    expected = [f"| `{metric.name}` | {metric.help} |" for metric in DEVICE_METRICS]
    assert rows(README, "axis_ntp_") == expected


def test_the_docs_list_exactly_the_catalogue() -> None:
    listed = [row for row in rows(METRICS, "axis_ntp_") if "axis_ntp_exporter_" not in row]
    assert listed == [
        f"| `{metric.name}` | {metric.kind} | {code(metric.labels)} | {metric.help} |"
        for metric in DEVICE_METRICS
    ]


def test_the_docs_list_exactly_the_exporters_own_series() -> None:
    families = [
        (f"{family.name}{SUFFIX.get(family.type, '')}", family.type, family.documentation)
        for family in SelfMetrics().registry.collect()
        if family.name.startswith("axis_ntp_exporter_")
    ]
    labels = {
        "axis_ntp_exporter_build_info": "`version`",
        "axis_ntp_exporter_sd_refresh_failures_total": "`mechanism`, `source`",
    }
    assert rows(METRICS, "axis_ntp_exporter_") == [
        f"| `{name}` | {kind} | {labels.get(name, '')} | {text} |" for name, kind, text in families
    ]


def test_the_docs_tell_every_reason() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", METRICS.partition("### Reasons")[2], re.MULTILINE)
    assert tuple(name for name in listed if not name.startswith("axis_")) == REASONS
    assert {kind.reason for kind in DeviceError.__subclasses__()} == set(REASONS)


def test_the_docs_tell_every_config_key() -> None:
    missing = [key for key in KNOWN_KEYS if f"`{key}`" not in CONFIGURATION]
    assert [key for key in missing if key not in ("global", "modules")] == []


def flags(command: str) -> list[argparse.Action]:
    parser = make_parser(command, importlib.import_module(f"exporter.commands.{command}"))
    return list(parser._actions)


def test_the_docs_tell_every_flag_of_run_with_its_default() -> None:
    for action in flags("run"):
        flag = action.option_strings[-1]
        assert f"`{flag}`" in CONFIGURATION
        if isinstance(action.default, str) and action.default != argparse.SUPPRESS:
            row = next(line for line in CONFIGURATION.splitlines() if f"| `{flag}`" in line)
            assert f"| `{action.default}` |" in row


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_has_a_help(command: str) -> None:
    assert all(action.help for action in flags(command))


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=str)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def pins() -> dict[NormalizedName, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_constraints_pin_every_dependency_and_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared.extend(extra)
    waiting = [canonicalize_name(Requirement(text).name) for text in declared]
    needed: set[NormalizedName] = set()
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    assert needed - set(pins()) == set()


def test_ci_runs_on_the_pinned_versions() -> None:
    installed = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    different = {
        name: (installed[name], version)
        for name, version in pins().items()
        if name in installed and installed[name] != version
    }
    assert different == {}
