"""Whatever is written twice agrees: catalogue, docs, README, flags, pins."""

import argparse
import json
import re
import textwrap
import tomllib
from argparse import SUPPRESS
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from exporter.check.examine import DeviceCheck
from exporter.check.report import as_document as check_document
from exporter.cli import COMMANDS, import_command, make_parser, run
from exporter.config import ModuleConfig
from exporter.config.schema import Config
from exporter.configure.apply import DeviceChange
from exporter.configure.outcome import ChangeResult, ChangeStatus
from exporter.configure.report import as_document
from exporter.devices.device import Device, DeviceTarget
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exporter import ExporterMetrics
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import Session
from exporter.vapix.errors import REASONS, DeviceError
from tests.docs.tables import SUFFIX, TABLES, updated
from tests.support.config_keys import keys_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
METRICS = (ROOT / "docs/metrics.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
CONFIGURE = (ROOT / "docs/configure.md").read_text()
CHECK = (ROOT / "docs/check.md").read_text()
RESULTS = CONFIGURE.partition("### Results")[2].partition("###")[0]
EXAMPLE = "".join(re.findall(r"^    \[\n.*?^    \]\n", CONFIGURE, re.MULTILINE | re.DOTALL))


def rows(text: str, first: str) -> list[str]:
    """The table rows whose first cell begins with `first`."""
    return [line for line in text.splitlines() if line.startswith(f"| `{first}")]


@pytest.mark.parametrize("page", TABLES)
def test_a_table_that_repeats_the_code_is_up_to_date(page: str) -> None:
    assert (ROOT / page).read_text() == updated(page), "run: make docs"


def test_the_readme_shows_ten_series_of_the_catalogue() -> None:
    catalogue = [f"| `{metric.name}` | {metric.help} |" for metric in DEVICE_METRICS]
    shown = rows(README, "axis_ntp_")
    assert len(set(shown)) == len(shown) == 10
    assert set(shown) <= set(catalogue)


def test_the_docs_list_exactly_the_catalogue() -> None:
    others = ("`axis_ntp_exporter_", "`axis_ntp_time_server_")
    listed = [row for row in rows(METRICS, "axis_ntp_") if not any(each in row for each in others)]
    assert listed == [
        f"| `{metric.name}` | {metric.kind} | {code(metric.labels)} | {metric.help} |"
        for metric in DEVICE_METRICS
    ]


def test_the_docs_list_exactly_the_exporters_own_series() -> None:
    names = [
        f"{family.name}{SUFFIX.get(family.type, '')}"
        for family in ExporterMetrics().registry.collect()
        if family.name.startswith("axis_ntp_exporter_")
    ]
    listed = rows(METRICS, "axis_ntp_exporter_")
    assert [row.split("`")[1] for row in listed] == names


def code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def test_the_docs_explain_every_reason() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", METRICS.partition("### Reasons")[2], re.MULTILINE)
    assert tuple(name for name in listed if not name.startswith("axis_")) == REASONS
    assert {kind.reason for kind in DeviceError.__subclasses__()} == set(REASONS)


def test_the_docs_explain_every_config_key() -> None:
    missing = [key for key in keys_of(Config) if f"`{key}`" not in CONFIGURATION]
    assert [key for key in missing if key not in ("global", "modules")] == []


def flags(command: str) -> list[argparse.Action]:
    parser = make_parser(command, import_command(command))
    return [each for each in parser._actions if each.help is not SUPPRESS]


ALL_WITH_TABLES = ["run", "check", "configure", "evidence", "init", "find", "import", "rules"]


@pytest.mark.parametrize("command", [*ALL_WITH_TABLES, "healthcheck"])
def test_the_docs_list_every_flag_with_its_default(command: str) -> None:
    _, _, after = CONFIGURATION.partition(f"| flag of `{command}` |")
    table = after.partition("\n\n")[0]
    for action in flags(command):
        flag = action.option_strings[-1] if action.option_strings else str(action.metavar)
        [row] = [line for line in table.splitlines() if f"`{flag}`" in line.partition(" | ")[0]]
        if isinstance(action.default, str | int) and action.default not in (False, SUPPRESS):
            assert f"| `{action.default}` |" in row


def test_the_docs_list_every_command_with_its_summary() -> None:
    for page in (README, CONFIGURATION):
        listed = re.findall(r"^\| `axis-ntp-exporter \[?(\w+)\]?` \|", page, re.MULTILINE)
        assert listed == list(COMMANDS)


def test_the_first_sample_of_errors_is_what_the_program_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(
        "# cameras\nglobal:\n  interval: '60'\n"
        "devices:\n  - address: 192.168.0.90\n    labels: {site: [hq]}\n"
    )
    monkeypatch.chdir(tmp_path)
    sample = re.findall(r"^    (.+)$", CONFIGURATION.partition("\n## ")[0], re.MULTILINE)
    command, *errors = sample
    assert run(command.split()[2:]) == 1
    assert capsys.readouterr().err.splitlines() == errors


def test_the_docs_explain_every_result_of_configure() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|.*\|.*\|$", RESULTS, re.MULTILINE)) == sorted(
        ChangeStatus
    )


def test_the_docs_list_every_key_of_the_documents_of_configure() -> None:
    target = DeviceTarget("gate", "192.0.2.1", {}, 60.0, 10.0)
    client = cast("NtpClient", None)
    document = as_document(DeviceChange(Device(target, client), ChangeResult(ChangeStatus.SET)))
    example = json.loads(textwrap.dedent(EXAMPLE))
    assert [list(each) for each in example] == [list(document)]


def test_the_docs_list_every_key_of_the_documents_of_check() -> None:
    target = DeviceTarget("gate", "192.0.2.1", {}, 60.0, 10.0)
    door = ClientFactory(read_client_settings(ModuleConfig()))
    device = Device(target, door.client(target.address, cast("Session", None)))
    document = check_document(DeviceCheck(device, ModuleConfig()))
    table = CHECK.partition("## For programs")[2]
    listed = [row.split(" | ")[0] for row in table.splitlines() if row.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(listed)) == list(document)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_has_a_help(command: str) -> None:
    assert all(action.help for action in flags(command))


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=str)
def test_every_link_between_pages_has_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_can_be_reached_from_the_index() -> None:
    waiting, reached = [ROOT / "docs/index.md"], set()
    while waiting:
        page = waiting.pop()
        reached.add(page)
        if page.is_relative_to(ROOT / "docs"):
            links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text())
            waiting += {(page.parent / link).resolve() for link in links} - reached
    assert set((ROOT / "docs").rglob("*.md")) <= reached


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_index_links_to_every_page(page: Path) -> None:
    index = (ROOT / "docs/index.md").read_text()
    assert f"]({page.name})" in index or page.name == "index.md"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=str)
def test_every_link_to_a_heading_has_a_target(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def pins() -> dict[NormalizedName, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_constraints_pin_every_dependency_and_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for name, extra in project["project"]["optional-dependencies"].items():
        # Their own targets install them; CI uses only one of them, and pins it.
        declared.extend(extra if name not in ("fuzz", "sbom") else ())
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
