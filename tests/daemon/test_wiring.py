"""Each setting of the config has its effect in the daemon."""

import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter import cli
from exporter.commands import run
from exporter.config import Config
from exporter.daemon import Settings
from exporter.simulator.certificates import make_identity
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.simulator.server import serve
from exporter.web.paths import WebPaths
from exporter.web.settings import WebSettings
from tests.daemon.series import in_flight, polls, polls_reach
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on

ACCOUNT = {"username": "root", "password": "pass"}
ANY_CERTIFICATE = {"insecure_skip_verify": True}
HANGING = 8


def reasons(found: Scrape) -> dict[str, str]:
    return {labels["device"]: labels["reason"] for labels, _ in found.all("axis_ntp_last_error")}


def authorizations(device: SimulatedDevice) -> list[str | None]:
    assert len(device.requests.recent) == device.requests.total > 0
    return [seen.request.authorization for seen in device.requests.recent]


@asynccontextmanager
async def one_device(
    auth: str, module: Mapping[str, Any], folder: Path
) -> AsyncIterator[tuple[SimulatedDevice, DaemonProcess]]:
    device = SimulatedDevice("x", auth=auth)
    device.requests.recent = deque()  # every request is remembered, not only the last few
    tls = make_identity(device.mac).server_context() if module["scheme"] == "https" else None
    async with serve(device, tls=tls) as served:
        config = {
            "global": {"interval": "100ms"},
            "modules": {"default": module},
            "devices": [{"address": served.address, "name": "x"}],
        }
        async with daemon_on(config, folder) as running:
            yield device, running


@pytest.mark.parametrize("scheme", ["auto", "digest"])
async def test_no_credentials_go_to_a_device_that_offers_only_basic_over_http(
    scheme: str, tmp_path: Path
) -> None:
    module = {"scheme": "http", "auth": {**ACCOUNT, "scheme": scheme}}
    async with one_device("basic", module, tmp_path) as (device, running):
        found = await running.until(polls_reach(3))
        await running.stop()
    assert set(authorizations(device)) == {None}
    assert reasons(found) == {"x": "unauthorized"}


@pytest.mark.parametrize(
    ("scheme", "offered", "sent"),
    [
        ("auto", "basic", [None, "Basic"]),
        ("auto", "basic+digest", [None, "Digest"]),
        ("basic", "basic", ["Basic", "Basic"]),
        ("basic", "basic+digest", ["Basic", "Basic"]),
        ("digest", "digest", [None, "Digest"]),
        ("digest", "basic+digest", [None, "Digest"]),
    ],
)
async def test_auth_scheme_selects_the_authentication_over_https(
    scheme: str, offered: str, sent: list[str | None], tmp_path: Path
) -> None:
    auth = {**ACCOUNT, "scheme": scheme}
    module = {"scheme": "https", "auth": auth, "tls_config": ANY_CERTIFICATE}
    async with one_device(offered, module, tmp_path) as (device, running):
        found = await running.until(polls_reach(2))
        await running.stop()
    first = [each and each.partition(" ")[0] for each in authorizations(device)[:2]]
    assert first == sent
    assert found.by_device("axis_ntp_up") == {"x": 1}


async def test_auth_scheme_digest_never_answers_basic(
    tmp_path: Path,
) -> None:
    auth = {**ACCOUNT, "scheme": "digest"}
    module = {"scheme": "https", "auth": auth, "tls_config": ANY_CERTIFICATE}
    async with one_device("basic", module, tmp_path) as (device, running):
        found = await running.until(polls_reach(3))
        await running.stop()
    assert set(authorizations(device)) == {None}
    assert reasons(found) == {"x": "unauthorized"}


async def test_auth_scheme_basic_never_answers_digest(tmp_path: Path) -> None:
    auth = {**ACCOUNT, "scheme": "basic"}
    module = {"scheme": "https", "auth": auth, "tls_config": ANY_CERTIFICATE}
    async with one_device("digest", module, tmp_path) as (device, running):
        found = await running.until(polls_reach(3))
        await running.stop()
    sent = {each.partition(" ")[0] for each in authorizations(device) if each}
    assert sent == {"Basic"}
    assert reasons(found) == {"x": "unauthorized"}


async def test_a_certificate_is_verified_with_the_server_name_of_the_module(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    identity = make_identity("b8a44f000000").server_context()
    authority.issue_cert("lobby.cameras.example").configure_cert(identity)
    names = {"right": "lobby.cameras.example", "wrong": "gate.cameras.example", "none": None}
    tls = {
        name: {"ca_file": "ca.pem"} | ({"server_name": wanted} if wanted else {})
        for name, wanted in names.items()
    }
    async with serve(SimulatedDevice("lobby"), tls=identity) as served:
        config = {
            "modules": {
                n: {"auth": ACCOUNT, "tls_config": tls[n], "interval": "1s"} for n in names
            },
            "devices": [{"address": served.address, "name": n, "module": n} for n in names],
        }
        async with daemon_on(config, tmp_path) as running:
            found = await running.ready()
    assert found.by_device("axis_ntp_up") == {"right": 1, "wrong": 0, "none": 0}
    assert reasons(found) == {"wrong": "tls", "none": "tls"}


@pytest.mark.parametrize("concurrency", [1, 3, HANGING, 100])
async def test_concurrency_limits_the_number_of_hung_polls(
    concurrency: int, tmp_path: Path
) -> None:
    fleet = build_fleet(HANGING, "fault:hang")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms", timeout="1h")
        config["global"]["concurrency"] = concurrency
        async with daemon_on(config, tmp_path) as running:
            wanted = min(concurrency, HANGING)
            await running.until(lambda _: requests_to(fleet.devices) >= wanted)
            found = await running.until(all_are_due)
            assert in_flight(found) == wanted
    assert requests_to(fleet.devices) == wanted


def requests_to(devices: list[SimulatedDevice]) -> int:
    return sum(device.requests.total for device in devices)


def all_are_due(found: Scrape) -> bool:
    due = found.by_device("axis_ntp_next_poll_timestamp_seconds")
    # A little overdue, so that the event loop has had time to start the polls.
    return max(due.values()) < time.time() - 0.1


async def test_the_number_of_open_polls_never_exceeds_concurrency(tmp_path: Path) -> None:
    fleet = build_fleet(HANGING, "fault:hang")
    seen = []

    def note(found: Scrape) -> bool:
        seen.append(in_flight(found))
        return min(polls(found).values()) >= 3

    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms", timeout="100ms")
        config["global"]["concurrency"] = 3
        async with daemon_on(config, tmp_path) as running:
            await running.until(note)
    assert max(seen) == 3


async def test_a_modules_interval_overrides_the_global_one(tmp_path: Path) -> None:
    fleet = build_fleet(2)
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="900ms")
        as_global, frequent = with_a_module_of_its_own(config, interval="300ms")
        # With an interval below 1 s polls are not shifted for the clock.
        async with daemon_on(config, tmp_path) as running:
            await running.until(
                lambda now: 0.8 < gap(now, as_global) < 0.91 and 0.2 < gap(now, frequent) < 0.31
            )


def with_a_module_of_its_own(config: dict[str, Any], **settings: str) -> list[str]:
    """Give the second of two devices a module with these settings; return both names."""
    config["modules"]["other"] = {**config["modules"]["default"], **settings}
    config["devices"][1]["module"] = "other"
    return [device["name"] for device in config["devices"]]


def gap(found: Scrape, device: str) -> float:
    """Return the seconds from the end of the last poll to the next; infinite before the first."""
    last = found.by_device("axis_ntp_last_poll_timestamp_seconds").get(device, -math.inf)
    return found.by_device("axis_ntp_next_poll_timestamp_seconds")[device] - last


async def test_a_modules_timeout_overrides_the_global_one(tmp_path: Path) -> None:
    fleet = build_fleet(2, "fault:hang")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms", timeout="900ms")
        as_global, impatient = with_a_module_of_its_own(config, timeout="200ms")
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(
                lambda now: as_global in took(now) and 0.15 < took(now).get(impatient, 0) < 0.3
            )
    assert took(found)[as_global] > 0.85
    assert reasons(found) == {as_global: "timeout", impatient: "timeout"}


def took(found: Scrape) -> dict[str, float]:
    return found.by_device("axis_ntp_poll_duration_seconds")


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ([], WebSettings((("", 10123),), "/metrics")),
        (
            ["--web.listen-address=127.0.0.1:1", "--web.listen-address=[::1]:2"],
            WebSettings((("127.0.0.1", 1), ("::1", 2)), "/metrics"),
        ),
        (["--web.telemetry-path=/m"], WebSettings((("", 10123),), "/m")),
        (["--web.max-connections=9"], WebSettings((("", 10123),), max_connections=9)),
        (
            ["--web.grafana-url=https://grafana.example/x/"],
            WebSettings((("", 10123),), grafana_url="https://grafana.example/x"),
        ),
        (
            ["--web.external-url=https://h.example/x/", "--web.route-prefix=/"],
            WebSettings((("", 10123),), paths=WebPaths("", "/x", "https://h.example")),
        ),
    ],
)
def test_the_daemon_listens_on_port_10123_of_every_interface_by_default(
    flags: list[str], settings: WebSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    async def record_settings(config: Config, settings: Settings) -> None:
        given.append((len(config.devices), settings.web))

    monkeypatch.setattr(run, "run_daemon", record_settings)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"devices": [{"address": "192.0.2.1"}]}))
    assert cli.run([f"--config.file={file}", *flags]) == 0
    assert given == [(1, settings)]


def test_the_help_shows_the_default_listen_address(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["--help"])
    assert "repeatable (default: :10123)" in " ".join(capsys.readouterr().out.split())


async def test_compliance_follows_a_change_of_the_devices_settings(tmp_path: Path) -> None:
    fleet = build_fleet(2)
    watched, unwatched = fleet.devices
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms")
        with_a_module_of_its_own(config)
        config["modules"]["default"]["expect"] = {"enabled": True, "minpoll": 6, "maxpoll": 10}
        config["devices"][0]["expect"] = {"maxpoll": 11}
        async with daemon_on(config, tmp_path) as running:
            await running.until(deviates(watched, "maxpoll"))
            watched.client.configure({"maxpoll": 11}, time.time_ns())
            await running.until(deviates(watched))
            watched.client.configure({"enabled": False, "minpoll": 7}, time.time_ns())
            found = await running.until(deviates(watched, "enabled", "minpoll"))
            watched.fault = "http_503"
            await running.until(lambda now: watched.name not in compliance(now))
    assert unwatched.name not in compliance(found)


def compliance(found: Scrape) -> dict[str, float]:
    return found.by_device("axis_ntp_config_compliant")


def deviates(device: SimulatedDevice, *parameters: str) -> Callable[[Scrape], bool]:
    """Return a condition: the exposed mismatches are exactly these; compliant without any."""

    def met(found: Scrape) -> bool:
        mismatches = found.all("axis_ntp_config_mismatch", device=device.name)
        compliant = compliance(found).get(device.name)
        names = tuple(sorted(labels["parameter"] for labels, value in mismatches if value == 1))
        return (compliant, names, len(mismatches)) == (not parameters, parameters, len(parameters))

    return met
