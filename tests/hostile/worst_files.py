"""The worst files within their limits: what each costs, and how long it holds up the event loop.

`python -m tests.hostile.worst_files` prints the table. Files are read in threads, so they may take
longer than 100 ms; but Python runs one thread at a time, so a long step holds up the loop, too.
"""

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from exporter.config.errors import ConfigError
from exporter.config.files import read_secret
from exporter.config.loader import MAX_ENTRIES, MAX_PART_VALUES, load_config
from exporter.config.pins import MAX_PINS, read_pins
from exporter.config.relabel import MAX_SOURCE_LABELS, RelabelConfig
from exporter.config.schema import MAX_RELABEL_RULES
from exporter.config.yaml_loader import MAX_VALUES
from exporter.discovery.target_groups import MAX_TARGETS, GroupReader, Source, read_groups
from exporter.system.files import MAX_FILE_BYTES, read_regular
from exporter.web.web_config.schema import load_web_config
from tests.support.thread_cost import ThreadCost, thread_cost

LIMIT_HELD_MS: Final = 100.0
"""No file may hold up the event loop for longer."""

LIMIT_CPU_SECONDS: Final = 20.0
"""Twice the time after which a reload gives up."""

HASH: Final = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"

Load = Callable[[Path], object]


class WorstFile(NamedTuple):
    """What the file holds, its suffix, how it is loaded, and its text in pieces."""

    what: str
    suffix: str
    load: Load
    pieces: Callable[[], Iterator[str]]


def _config(file: Path) -> object:
    return load_config(file, {})


def _groups(file: Path) -> object:
    return read_groups(read_regular(file), is_json=file.suffix == ".json")


def _filled(start: str, part: str, end: str = "") -> Callable[[], Iterator[str]]:
    """A file of the largest size."""
    times = (MAX_FILE_BYTES - len(start) - len(end)) // len(part)
    return lambda: iter((start, part * times, end))


def _numbered(start: str, part: str, count: int, end: str = "") -> Callable[[], Iterator[str]]:
    """A file of this many numbered parts."""
    numbered = partial(map, partial(str.replace, part, "#"))
    return lambda: itertools.chain((start,), numbered(map(str, range(count))), (end,))


RELABEL_LIMIT_SECONDS: Final = 4.0
"""Of the exporter, it is a minute: too long for a test."""


def _relabeled(*rules: dict[str, object]) -> Load:
    """Load a file of targets with as many rules as a config may have."""
    made = [RelabelConfig.model_validate(rule) for rule in rules] * (
        MAX_RELABEL_RULES // len(rules)
    )

    def load(file: Path) -> object:
        reader = GroupReader(made, RELABEL_LIMIT_SECONDS)
        return reader.read(Source("file", str(file)), read_regular(file), is_json=True)

    return load


_FLOW_DEVICES: Final = MAX_ENTRIES - 1


def worst_files() -> Iterator[WorstFile]:
    """Yield every row."""
    yield from _config_rows()
    yield from _web_config_rows()
    yield from _group_rows()
    yield from _pins_rows()
    yield from _relabel_rows()
    yield WorstFile("password file: one long line", "", read_secret, _filled("", "x"))


def _pins_rows() -> Iterator[WorstFile]:
    wrong = f"last: {'x' * 64}\n"
    files = {
        "as many pins as fit": _numbered("", f"c#.example: {'ab' * 32}\n", MAX_PINS),
        "the last of them wrong": _numbered("", f"c#: {'ab' * 32}\n", MAX_PINS - 1, wrong),
        "as many unknown keys as fit": _numbered("", "k#: 1\n", MAX_FILE_BYTES // 13),
        "one address without end": _filled("", "x"),
    }
    for what, pieces in files.items():
        yield WorstFile(f"pins: {what}", ".yaml", read_pins, pieces)


def _config_rows() -> Iterator[WorstFile]:
    part = MAX_PART_VALUES - 10
    alias = "x: &a {address: h}\ndevices: ["
    files = {
        "as many unknown keys as fit": _numbered("", "k#: 1\n", MAX_FILE_BYTES // 13),
        "unknown keys up to the limit": _numbered("", "k#: 1\n", part),
        "more modules than the limit": _numbered("modules: {", "m#: {},", 2 * MAX_ENTRIES, "}"),
        "devices without an address": _numbered("devices: [", "{x#: a},", _FLOW_DEVICES, "]"),
        "unset variables": _filled("a: ", "${X}"),
        "the same device by aliases": lambda: iter((alias, "*a," * 300_000, "]")),
        "deep nesting": _filled("a: ", "["),
        "one long value": _filled("a: ", "x"),
        "one long key": _filled('? "', "x", '"\n: b'),
        "one long address": _filled("devices: [{address: ", "a.", "}]"),
        "one long duration": _filled("global: {interval: ", "1", "}"),
        "one long URL": _filled('http_sd_configs: [{url: "http://a/?', "key=", '"}]'),
        "empty lines before a tab": _filled("a:\n", "\n", "\tb: 1\n"),
        "a NUL at the end": _filled("a: ", "x", "\0"),
        "duplicate keys": _filled("", "a: 1\n"),
    }
    for what, pieces in files.items():
        yield WorstFile(f"config: {what}", ".yaml", _config, pieces)


def _web_config_rows() -> Iterator[WorstFile]:
    part = MAX_PART_VALUES - 10
    files = {
        "as many unknown keys as fit": _numbered("", "k#: 1\n", MAX_FILE_BYTES // 13),
        "unknown keys up to the limit": _numbered("", "k#: 1\n", part),
        "users up to the limit": _numbered("basic_auth_users: {", f"u#: '{HASH}',", part, "}"),
        "one long header": _filled("http_server_config: {headers: {X-XSS-Protection: ", "x", "}}"),
    }
    for what, pieces in files.items():
        yield WorstFile(f"web-config: {what}", ".yaml", load_web_config, pieces)


def _group_rows() -> Iterator[WorstFile]:
    targets = '"a b",' * (MAX_TARGETS - 1)
    files = {
        ("invalid targets", ".json"): lambda: iter(('[{"targets":[', targets, '"a"]}]')),
        ("empty groups", ".json"): _filled("[", "{},", "{}]"),
        ("empty groups", ".yaml"): _filled("[", "{},", "{}]"),
        ("empty lists", ".yaml"): _filled("[", "[],", "[]]"),
        ("deep nesting", ".json"): _filled("", "["),
        ("a name that is no label", ".json"): lambda: iter(
            ('[{"targets":["h"],"labels":{"', "." * 1_000_000, '":"x"}}]')
        ),
        ("one long string", ".json"): _filled('["', "\\n", '"]'),
        ("one long value", ".yaml"): _filled("- ", "x"),
        ("empty lines before a letter", ".json"): _filled("", "\n", "x"),
        ("empty lines before a tab", ".yaml"): _filled("- a:\n", "\n", "\tb: {\n"),
    }
    for (what, suffix), pieces in files.items():
        yield WorstFile(f"targets: {what} ({suffix[1:]})", suffix, _groups, pieces)


def _relabel_rows() -> Iterator[WorstFile]:
    """Each target has the most and the longest labels, and no text is seen twice.

    A larger file has the same cost: the limit is reached before its end.
    """
    labels = ",".join(f'"l{n}":"#{"a" * 230}"' for n in range(MAX_SOURCE_LABELS))
    group = f'{{"targets":["h#"],"labels":{{{labels}}}}},'
    targets = _numbered("[", group, 1_000, '{"targets":["h"]}]')
    names = [f"l{n}" for n in range(MAX_SOURCE_LABELS)]
    nested = "(a*)*(a*)*(a|aa)+b"
    rules: dict[str, dict[str, object]] = {
        "joined labels": {"source_labels": names, "target_label": "x", "regex": "(.*)b"},
        "a nested expression": {"source_labels": names, "target_label": "x", "regex": nested},
        "many states": {"source_labels": names, "regex": ".*(a|b)*a(a|b){20}c", "action": "drop"},
        "labelmap": {"regex": "l(.*)", "replacement": "k$1", "action": "labelmap"},
        "labeldrop": {"regex": "(x*)*y", "action": "labeldrop"},
        "uppercase": {"source_labels": names[:8], "target_label": "l8", "action": "uppercase"},
        "hashmod": {"source_labels": names, "target_label": "x", "modulus": 9, "action": "hashmod"},
    }
    for what, rule in rules.items():
        yield WorstFile(f"relabelled targets: {what}", ".json", _relabeled(rule), targets)


def cost_of(row: WorstFile) -> ThreadCost:
    """Return what it costs to load a row's file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"worst{row.suffix}")
        with file.open("w", encoding="utf-8") as opened:
            opened.writelines(row.pieces())
        assert file.stat().st_size <= MAX_FILE_BYTES

        def load() -> None:
            with contextlib.suppress(ConfigError, ValueError):
                row.load(file)

        return thread_cost(load)


if __name__ == "__main__":
    limits = f"files of {MAX_FILE_BYTES:,} bytes, {MAX_VALUES:,} values at most"
    sys.stdout.write(f"| file ({limits}) | CPU seconds | held up, ms |\n| --- | --- | --- |\n")
    for each in worst_files():
        cost = cost_of(each)
        sys.stdout.write(f"| {each.what} | {cost.cpu_seconds:.2g} | {cost.held_ms:.0f} |\n")
        sys.stdout.flush()
