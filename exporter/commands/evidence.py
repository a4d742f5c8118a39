"""`axis-ntp-exporter evidence`: how far off a device's clock was at a moment in the past."""

import argparse
import json
import time
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from yarl import URL

from exporter import __version__
from exporter.commands.arguments import argument_type, duration_seconds, file_path
from exporter.commands.batch import run_command
from exporter.commands.targets import Selector, UsageError, selector
from exporter.config import ConfigError
from exporter.config.errors import as_lines as problem_lines
from exporter.config.errors import first_problems, validation_problems
from exporter.config.http_client import HttpClientConfig
from exporter.config.loader import load_document
from exporter.config.types import LABEL_NAME, HttpUrl
from exporter.config.yaml_loader import Tree
from exporter.evidence.prometheus_api import PrometheusApi, PrometheusFailed
from exporter.evidence.reading import NotYet, UnknownDevice, Wanted, answer
from exporter.evidence.records import Asked
from exporter.evidence.report import Evidence, as_document, as_lines
from exporter.evidence.statement import Statement
from exporter.evidence.times import parse_time, parse_zone
from exporter.system.files import replace_file
from exporter.system.terminal import warn

_LONGEST_WINDOW_SECONDS: Final = 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evidence`."""
    _add_question(parser)
    add = parser.add_argument
    add(
        "--selector",
        dest="selectors",
        type=_selector,
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="only series with this label, if several devices have the name; repeatable",
    )
    add("--json", action="store_true", help="print a JSON object")
    add(
        "--html",
        type=file_path,
        metavar="FILE",
        help="write a page to print or file too: chart, samples, method, queries",
    )
    add(
        "--http.config.file",
        dest="http_config_file",
        type=file_path,
        metavar="FILE",
        help="authentication and TLS for Prometheus: an http config file, as promtool has it",
    )


def _add_question(parser: argparse.ArgumentParser) -> None:
    """Add the device, the server that has its series, the moment, and how far to look around it."""
    add = parser.add_argument
    add(
        "device",
        type=argument_type(_device),
        metavar="DEVICE",
        help="the device's name: its label `device` in Prometheus",
    )
    add(
        "--prometheus.url",
        dest="prometheus_url",
        type=argument_type(_prometheus_url),
        required=True,
        metavar="URL",
        help="Prometheus, Thanos or Mimir, such as http://prometheus.example:9090",
    )
    moment = parser.add_mutually_exclusive_group(required=True)
    moment.add_argument("--at", metavar="TIME", help="a true time: what did the device show then?")
    moment.add_argument(
        "--shown", metavar="TIME", help="what the picture shows: what was the true time then?"
    )
    add(
        "--window",
        type=argument_type(_window),
        default="15m",
        metavar="DURATION",
        help="how far to look to each side, for measurements and for steps (default: %(default)s)",
    )
    add(
        "--timezone",
        type=argument_type(parse_zone),
        metavar="NAME",
        help="time zone of a TIME without an offset, such as Europe/Stockholm",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the statement; returns 0, 1 if none can be made, and 2 for a question that is wrong."""
    return run_command("evidence", _evidence(arguments))


async def _evidence(arguments: argparse.Namespace) -> int:
    wanted = Wanted(
        arguments.device, dict(arguments.selectors), _asked(arguments), arguments.window
    )
    api = PrometheusApi(arguments.prometheus_url, _http_config(arguments))
    made_ns = time.time_ns()
    try:
        statement, witnesses = await answer(api, wanted, made_ns)
    except (NotYet, UnknownDevice) as problem:
        raise UsageError(str(problem)) from None
    except PrometheusFailed as problem:
        reason = f"Prometheus at {arguments.prometheus_url} cannot be asked: {problem}"
        statement, witnesses = Statement(wanted.asked, None, reason), ()
    evidence = Evidence(
        wanted.device,
        statement,
        witnesses,
        wanted.window_seconds,
        arguments.timezone,
        api.answers,
        api.warnings,
        made_ns,
        __version__,
    )
    _print(evidence, as_json=arguments.json)
    is_written = arguments.html is None or _write_page(arguments.html, evidence)
    return 0 if statement.finding is not None and is_written else 1


def _print(evidence: Evidence, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(as_document(evidence), indent=2), flush=True)
    else:
        print("\n".join(as_lines(evidence)), flush=True)


def _write_page(file: Path, evidence: Evidence) -> bool:
    """Write the page; return whether that worked, and say why if not."""
    from exporter.web.pages.evidence_page import render_evidence  # noqa: PLC0415 - only for --html

    try:
        replace_file(file, render_evidence(evidence))
    except OSError as error:
        warn(f"evidence: {file}: cannot be written: {error.strerror}")
        return False
    return True


def _asked(arguments: argparse.Namespace) -> Asked:
    """Return the question. Raises `UsageError`."""
    kind, text = ("at", arguments.at) if arguments.at is not None else ("shown", arguments.shown)
    try:
        return Asked("at" if kind == "at" else "shown", parse_time(text, arguments.timezone))
    except ValueError as problem:
        raise UsageError(f"--{kind}: {problem}") from None


def _device(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _selector(text: str) -> Selector:
    """Parse `LABEL=VALUE`. The label becomes a part of queries."""
    label, value = selector(text)
    if not LABEL_NAME.fullmatch(label):
        raise argparse.ArgumentTypeError(f"{label!r} is not the name of a label")
    return label, value


def _window(text: str) -> float:
    seconds = duration_seconds(text)
    if seconds > _LONGEST_WINDOW_SECONDS:
        raise ValueError("must not be longer than 1d")
    return seconds


def _prometheus_url(text: str) -> str:
    try:
        TypeAdapter(HttpUrl).validate_python(text)
    except ValidationError as invalid:
        raise ValueError(str(invalid.errors()[0]["ctx"]["error"])) from None
    url = URL(text)
    if url.query_string or url.fragment:
        raise ValueError("must not have a query or a fragment: paths are added to it")
    return text


def _http_config(arguments: argparse.Namespace) -> HttpClientConfig:
    """Read the http config file. Raises `ConfigError` and `UsageError`."""
    file: Path | None = arguments.http_config_file
    if file is None:
        return HttpClientConfig()
    config = load_document(file, lambda tree: _parse_http_config(tree, file.parent), verbatim=True)
    if config.exposes_credentials(URL(arguments.prometheus_url)):
        raise UsageError("credentials need a URL with https: plain HTTP would expose them")
    return config


def _parse_http_config(tree: Tree, directory: Path) -> HttpClientConfig:
    try:
        return HttpClientConfig.model_validate(
            {} if tree is None else tree, context={"directory": directory}
        )
    except ValidationError as invalid:
        found = list(first_problems(validation_problems(invalid, HttpClientConfig)))
    raise ConfigError(problem_lines(found), [path for path, _ in found])
