"""The command against a real Prometheus, and against servers that are none."""

from __future__ import annotations

import asyncio
import html
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from exporter import cli
from exporter.clock.offset import SECOND_NS
from exporter.evidence.prometheus_api import quote
from exporter.evidence.times import format_rfc3339
from tests.evidence.conftest import COPIED, FAR_SECONDS, STRANGE, EvidenceSite
from tests.evidence.simulated_day import DAY, HOUR, SimulatedCamera
from tests.support.command_process import running_command
from tests.support.programs import LOOPBACK, free_port

# With the tests of the same Prometheus.
pytestmark = pytest.mark.xdist_group("evidence")

M = 3 * HOUR


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


Evidence = Callable[..., Awaitable[Ended]]


@pytest.fixture
def evidence(capsys: pytest.CaptureFixture[str]) -> Iterator[Evidence]:
    """Return what runs the command in this process: each start of a process takes a second."""

    def run(*words: str) -> int:
        try:
            return cli.run(["evidence", *words])
        except SystemExit as end:
            return int(end.code or 0)

    async def start(url: str, device: str, *words: str) -> Ended:
        code = await asyncio.to_thread(run, device, f"--prometheus.url={url}", *words)
        return Ended(code, *capsys.readouterr())

    yield start
    structlog.reset_defaults()


def at(site: EvidenceSite, m: float) -> str:
    return f"--at={format_rfc3339(site.day.true_ns(m) // 1000)}"


def cam_0(site: EvidenceSite) -> SimulatedCamera:
    return site.day.cameras[0]


async def test_a_statement_in_words_has_exit_code_0(site: EvidenceSite) -> None:
    shown = format_rfc3339(site.day.shown_ns(cam_0(site), M) // 1000)
    url = f"--prometheus.url={site.url}"
    async with running_command("evidence", "cam-0", url, f"--shown={shown}") as run:
        pass
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("On ")
    assert ", as shown by cam-0, the true time was between " in run.out
    assert "; no step was counted between " in run.out


@pytest.mark.parametrize("device", ["cam-0", "ha", STRANGE])
async def test_the_document_holds_the_truth(
    evidence: Evidence, site: EvidenceSite, device: str
) -> None:
    """Also of a name that is no PromQL, and of a device that two exporters poll."""
    run = await evidence(site.url, device, at(site, M), "--json")
    document = json.loads(run.out)
    assert (run.code, document["supported"], document["reason"]) == (0, True, None)
    truth = (site.day.shown_ns(cam_0(site), M) - site.day.true_ns(M)) / SECOND_NS
    assert document["offset_seconds"]["low"] <= truth <= document["offset_seconds"]["high"]
    assert document["reference"] == "time servers"
    assert len(document["exporters"]) == (2 if device == "ha" else 1)
    assert len(document["samples"]) > 25
    for query in document["queries"]:
        assert query["url"].startswith(f"{site.url}/api/v1/query?")
        assert len(query["sha256"]) == 64


async def test_a_picture_that_is_hours_off_is_found(evidence: Evidence, site: EvidenceSite) -> None:
    """The measurements at the time that it shows are not those of the time that it was."""
    shown_ns = site.day.shown_ns(cam_0(site), M) + round(FAR_SECONDS * SECOND_NS)
    shown = f"--shown={format_rfc3339(shown_ns // 1000)}"
    document = json.loads((await evidence(site.url, "far", shown, "--json")).out)
    truth = format_rfc3339(site.day.true_ns(M) // 1000)
    assert document["true_time"]["earliest"] <= truth <= document["true_time"]["latest"]
    assert document["offset_seconds"]["low"] > FAR_SECONDS - 200


async def test_the_eight_series_are_enough_but_bounds_are_wider(
    evidence: Evidence, site: EvidenceSite
) -> None:
    widths = []
    for device in ("cam-0", "eight"):
        document = json.loads((await evidence(site.url, device, at(site, M), "--json")).out)
        offset = document["offset_seconds"]
        widths.append(offset["high"] - offset["low"])
    assert document["reference"] == "time servers"
    assert widths[0] < widths[1] <= 3 * widths[0]


async def test_a_name_of_several_devices_needs_a_selector(
    evidence: Evidence, site: EvidenceSite
) -> None:
    run = await evidence(site.url, "twin", at(site, M))
    assert run.code == 1
    assert (
        "Several devices have this name: choose one with --selector=job=axis or "
        "--selector=job=other." in run.out
    )
    run = await evidence(site.url, "twin", at(site, M), "--selector=job=other")
    assert run.code == 0, run.out


async def test_a_counted_step_has_exit_code_1(evidence: Evidence, site: EvidenceSite) -> None:
    stepped = [
        (camera, start)
        for camera in site.day.cameras
        for start, end in camera.troubled
        if start == end and abs(camera.clock.offset(end + 1) - camera.clock.offset(end - 1)) > 2
    ]
    camera, m = stepped[0]
    run = await evidence(site.url, camera.name, at(site, m - 100), "--json")
    document = json.loads(run.out)
    assert (run.code, document["supported"]) == (1, False)
    assert "stepped" in document["reason"]
    assert document["true_time"] is None


async def test_an_unknown_device_is_a_usage_error_that_names_similar_ones(
    evidence: Evidence,
    site: EvidenceSite,
) -> None:
    run = await evidence(site.url, "CAM-00", at(site, M))
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("evidence: Prometheus has no device 'CAM-00' (did you mean 'cam-0'")
    run = await evidence(site.url, "cam-0", at(site, M), "--selector=site=hq")
    assert run.err == "evidence: Prometheus has no device 'cam-0' with site=hq\n"


async def test_before_the_first_sample_it_says_where_the_samples_begin(
    evidence: Evidence, site: EvidenceSite
) -> None:
    run = await evidence(site.url, "ha", at(site, 600))
    assert run.code == 1
    oldest = datetime.fromtimestamp(site.day.epoch + COPIED[0], UTC)
    assert f"the oldest one that Prometheus has is from {oldest:%Y-%m-%d %H:0}" in run.out
    assert "how long it keeps its data (retention)" in run.out


async def test_after_the_last_sample_there_is_no_statement(
    evidence: Evidence, site: EvidenceSite
) -> None:
    run = await evidence(site.url, "cam-0", at(site, DAY + 1200))
    assert run.code == 1
    assert "No measurement within 15m of " in run.out
    run = await evidence(site.url, "cam-0", at(site, DAY + 300))
    assert run.code == 1
    assert "Not enough measurements after " in run.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at=2999-01-01T00:00:00Z"], "2999-01-01 00:00:00 UTC is in the future"),
        (["--at=yesterday"], "--at: 'yesterday' is not a time such as 2026-11-20T14:03:22Z"),
        (
            ["--shown=2025-10-26T02:30:00", "--timezone=Europe/Stockholm"],
            "was twice in Europe/Stockholm, as clocks were set back: write "
            "2025-10-26T02:30:00+02:00 or 2025-10-26T02:30:00+01:00",
        ),
        (["--at=2025-10-26T02:30:00"], "has no offset from UTC"),
        (["--at=2025-10-26T02:30:00Z", "--window=2d"], "must not be longer than 1d"),
        (["--at=2025-10-26T02:30:00Z", "--timezone=Mars"], "'Mars' is not a time zone"),
        (["--at=2025-10-26T02:30:00Z", "--shown=2025-10-26T02:30:00Z"], "not allowed with"),
        (["--at=2025-10-26T02:30:00Z", '--selector=a"}=b'], "is not the name of a label"),
        ([], "one of the arguments --at --shown is required"),
    ],
)
async def test_a_wrong_question_has_exit_code_2(
    evidence: Evidence, words: list[str], message: str
) -> None:
    run = await evidence("http://127.0.0.1:1", "cam-0", *words)
    assert (run.code, run.out) == (2, "")
    assert message in run.err


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "http://", "http://u:secret@p.example/", "http://p.example/?token=x"]
)
async def test_a_wrong_url_has_exit_code_2_and_is_not_repeated(
    evidence: Evidence, url: str
) -> None:
    run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert run.code == 2
    assert "--prometheus.url: must" in run.err
    assert "secret" not in run.err


async def test_prometheus_away_has_exit_code_1_and_a_reason(evidence: Evidence) -> None:
    url = f"http://{LOOPBACK}:{free_port()}"
    run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert run.code == 1
    assert f"Prometheus at {url} cannot be asked: cannot connect: connection refused." in run.out
    run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z", "--json")
    document = json.loads(run.out)
    assert (run.code, document["supported"], document["samples"]) == (1, False, [])


# The page

NO_PROMETHEUS = ("http://127.0.0.1:1", "cam-0", "--at=2025-10-26T02:30:00Z")


async def test_html_writes_a_page_beside_the_answer(
    evidence: Evidence, site: EvidenceSite, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    plain = await evidence(site.url, "ha", at(site, M))
    run = await evidence(site.url, "ha", at(site, M), f"--html={file}")
    assert run == plain
    page = file.read_text("utf-8")
    assert "Statement about the clock of ha" in page
    assert plain.out.splitlines()[0] in html.unescape(page)


async def test_html_says_why_there_is_no_statement(evidence: Evidence, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("an old page")
    run = await evidence(*NO_PROMETHEUS, f"--html={file}")
    assert (run.code, run.err) == (1, "")
    assert "No statement about the clock of cam-0" in file.read_text("utf-8")
    assert "cannot be asked: cannot connect" in file.read_text("utf-8")


async def test_html_of_a_wrong_question_writes_nothing(
    evidence: Evidence, site: EvidenceSite, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    run = await evidence(site.url, "nobody", at(site, M), f"--html={file}")
    assert run.code == 2
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/dev/full", "No space left on device"),
        ("missing/page.html", "No such file or directory"),
        (".", "Is a directory"),
        ("read-only.html", "Permission denied"),
    ],
)
async def test_a_page_that_cannot_be_written_is_one_line_and_exit_code_1(
    evidence: Evidence,
    site: EvidenceSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
) -> None:
    file = tmp_path / name
    if name == "read-only.html":
        file.write_text("kept")
        file.chmod(0o444)
        # The rights of root, as whom CI runs, have no limit.
        monkeypatch.setattr(os, "access", lambda path, _mode, **_: Path(path) != file)
    plain = await evidence(site.url, "cam-0", at(site, M))
    run = await evidence(site.url, "cam-0", at(site, M), f"--html={file}")
    assert (run.code, run.out) == (1, plain.out)
    assert run.err == f"evidence: {file}: cannot be written: {reason}\n"
    assert not file.is_file() or file.read_text() == "kept"


# Servers that are none, or that need credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def reply(document: Any, status: int = 200) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(document, status=status)

    return answer


@pytest.mark.parametrize(
    ("document", "status", "reason"),
    [
        ({"status": "error", "error": "too many samples"}, 422, "HTTP 422: too many samples"),
        ({"status": "error", "error": "\x1b[31m"}, 400, "HTTP 400: \\x1b[31m"),
        ({"status": "success", "data": {"result": 7}}, 200, "the answer is not that of Prometheus"),
        ({"status": "success", "data": {"result": [{}]}}, 200, "the answer is not that of Prom"),
        (
            {"status": "success", "data": {"result": [{"metric": {}, "value": [10**400, "1"]}]}},
            200,
            "the answer is not that of Prometheus",
        ),
        ({"status": "success", "warnings": 7}, 200, "the answer is not that of Prometheus"),
        ([], 200, "the answer is not that of Prometheus's HTTP API"),
    ],
)
async def test_an_answer_that_is_none_is_a_reason(
    evidence: Evidence, document: Any, status: int, reason: str
) -> None:
    async with serving(reply(document, status)) as url:
        run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert run.code == 1
    assert reason in run.out


@pytest.mark.parametrize("absurd", ["1e308", "-1e308", "+Inf", "NaN"])
async def test_absurd_values_are_no_samples(evidence: Evidence, absurd: str) -> None:
    names = ("offset_seconds", "offset_uncertainty_seconds", "steps_total")
    metrics = [*(f"axis_ntp_clock_{name}" for name in names), "axis_ntp_poll_duration_seconds"]
    metrics.append("axis_ntp_last_poll_timestamp_seconds")
    values = [[1761445790 + minute * 60, absurd] for minute in range(2)]
    result = [{"metric": {"__name__": name}, "values": values} for name in metrics]
    document = {"status": "success", "data": {"result": result}}

    async def answer(request: web.Request) -> web.StreamResponse:
        is_names = request.path.endswith("/values")
        return web.json_response(document | ({"data": ["cam-0"]} if is_names else {}))

    async with serving(answer) as url:
        run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert (run.code, run.err) == (1, "")
    assert "No statement about cam-0" in run.out


async def test_an_endless_answer_is_cut_off(evidence: Evidence) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 2**20)
        except ConnectionError:
            return response

    async with serving(flood) as url:
        run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert run.code == 1
    assert "the response is larger than 33554432 bytes" in run.out


async def test_thanos_is_asked_for_all_raw_samples_or_none(evidence: Evidence) -> None:
    """Each replica on its own, no averages, and an error where a part of the answer is missing."""
    queries: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        queries.append(request.query)
        return web.json_response({"status": "success", "data": {"result": []}})

    async with serving(answer) as url:
        await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    asked = {"dedup": "false", "max_source_resolution": "0s", "partial_response": "false"}
    assert queries
    assert all(asked.items() <= dict(query).items() for query in queries)


async def test_an_answer_with_thousands_of_exporters_is_refused(evidence: Evidence) -> None:
    name = {"__name__": "axis_ntp_clock_offset_seconds", "device": "cam-0"}
    result = [
        {"metric": name | {"instance": str(number)}, "values": [[1761445790, "1"]]}
        for number in range(20_000)
    ]
    warnings = ["odd"] * 20 + [str(number) for number in range(200_000)]
    data = {"result": result}
    async with serving(reply({"status": "success", "data": data, "warnings": warnings})) as url:
        run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert run.code == 1
    assert "20000 exporters have this device: choose one with --selector" in run.out
    assert run.out.count("Prometheus warned: ") == 10


async def test_warnings_of_a_partial_answer_are_shown(evidence: Evidence) -> None:
    empty = {"status": "success", "data": {"result": []}, "warnings": ["store is away"]}

    async def answer(request: web.Request) -> web.StreamResponse:
        is_names = request.path.endswith("/values")
        return web.json_response(empty | ({"data": ["cam-0"]} if is_names else {}))

    async with serving(answer) as url:
        run = await evidence(url, "cam-0", "--at=2025-10-26T02:30:00Z")
    assert run.code == 1
    assert "its clock was never measured" in run.out
    assert run.out.count("Prometheus warned: store is away") == 1


async def test_the_http_config_file_gives_the_credentials(
    evidence: Evidence, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        raise web.HTTPUnauthorized

    file = tmp_path / "http.yaml"
    (tmp_path / "token").write_text("s3cret-token\n")
    file.write_text("authorization: {credentials_file: token}\n")
    async with serving(answer) as url:
        run = await evidence(
            url, "cam-0", "--at=2025-10-26T02:30:00Z", f"--http.config.file={file}", "--json"
        )
    assert seen == ["Bearer s3cret-token"]
    assert run.code == 1
    assert "HTTP 401" in json.loads(run.out)["reason"]
    assert "s3cret" not in run.out + run.err


async def test_another_host_gets_no_credentials_after_a_redirect(
    evidence: Evidence, tmp_path: Path
) -> None:
    seen: dict[str, str | None] = {}

    async def other(request: web.Request) -> web.StreamResponse:
        seen["other"] = request.headers.get("Authorization")
        raise web.HTTPUnauthorized

    file = tmp_path / "http.yaml"
    file.write_text("basic_auth: {username: a, password: b}\n")
    async with serving(other) as other_url:

        async def first(request: web.Request) -> web.StreamResponse:
            seen["first"] = request.headers.get("Authorization")
            raise web.HTTPFound(other_url)

        async with serving(first) as url:
            moment, flag = "--at=2025-10-26T02:30:00Z", f"--http.config.file={file}"
            run = await evidence(url, "cam-0", moment, flag)
    assert run.code == 1
    assert seen == {"first": "Basic YTpi", "other": None}


@given(st.text())
def test_any_text_is_quoted_as_promql_reads_it(text: str) -> None:
    """PromQL's strings in double quotes are those of Go, and of JSON for these escapes."""
    quoted = quote(text)
    assert "\n" not in quoted
    assert json.loads(quoted, strict=False) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("basic_auth: {username: a, password: b}\n", "credentials need a URL with https"),
        ("basic_auth: {usrname: a}\n", "unknown key"),
        ("[]\n", "must be a mapping"),
    ],
)
async def test_a_wrong_http_config_file_has_exit_code_2(
    evidence: Evidence, tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "http.yaml"
    file.write_text(text)
    flag = f"--http.config.file={file}"
    run = await evidence("http://p.example", "cam-0", "--at=2025-10-26T02:30:00Z", flag)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err
