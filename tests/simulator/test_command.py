import argparse
import asyncio
import stat
from pathlib import Path

import pytest
import yaml

from exporter.cli import make_parser
from exporter.simulator import command
from exporter.simulator.authentication import POLICIES
from exporter.simulator.faults import FAULTS
from exporter.simulator.fleet import OWN_CERTIFICATES, SPREADS
from exporter.simulator.scenarios import SCENARIOS
from tests.simulator.raw_client import Digest, call, connect, log_in, until


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    return make_parser("simulate", command)


def test_help_lists_all_names(parser: argparse.ArgumentParser) -> None:
    words = " ".join(parser.format_help().split())
    for table in (SCENARIOS, POLICIES, FAULTS):
        for name, row in table.items():
            assert f" {name} {row.description}" in words
    for name, description in SPREADS.items():
        assert f" {name} {description}" in words
    assert " fault:NAME all devices with that fault" in words


def test_help_says_that_large_fleets_share_one_certificate(
    parser: argparse.ArgumentParser,
) -> None:
    said = f"with https, more than {OWN_CERTIFICATES} devices share one certificate"
    assert said in " ".join(parser.format_help().split())


def test_the_defaults_of_the_flags(parser: argparse.ArgumentParser) -> None:
    arguments = parser.parse_args([])
    assert (arguments.devices, arguments.scenario, arguments.listen) == (
        None,
        "healthy",
        ("127.0.0.1", 8080),
    )
    assert "(default: 20, 400 for bad-day)" in " ".join(parser.format_help().split())
    assert (arguments.spread, arguments.scheme, arguments.auth) == ("port", "http", "recommended")


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--devices=0", "'0' is not a number of devices"),
        ("--devices=many", "'many' is not a number of devices"),
        ("--scenario=sunny", "unknown scenario 'sunny'"),
        ("--scenario=fault:rust", "unknown fault 'rust'"),
        ("--listen=8080", "'8080' is not HOST:PORT"),
        ("--listen=[::1]:65536", "'[::1]:65536' is not HOST:PORT"),
        ("--auth=telepathy", "invalid choice: 'telepathy'"),
    ],
)
def test_a_bad_flag_is_a_usage_error_with_the_reason(
    parser: argparse.ArgumentParser,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    complaint: str,
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([flag])
    assert complaint in capsys.readouterr().err


def test_ipv6_is_written_in_brackets(parser: argparse.ArgumentParser) -> None:
    assert parser.parse_args(["--listen=[::1]:0"]).listen == ("::1", 0)


async def test_simulate_serves_until_stopped_and_writes_a_config(
    parser: argparse.ArgumentParser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password, config = tmp_path / "password", tmp_path / "exporter.yaml"
    password.write_text("s3cret\n", "utf-8")
    config.write_text("world-readable", "utf-8")
    flags = ["--devices=2", "--listen=127.0.0.1:0", "--auth=digest", "--username=admin"]
    arguments = parser.parse_args(
        [*flags, f"--password-file={password}", f"--write-config={config}"]
    )

    def config_is_whole() -> bool:
        return config.read_text("utf-8").startswith("global:")

    stop = asyncio.Event()
    running = asyncio.create_task(command.run(arguments, stop))
    await until(config_is_whole)
    written = yaml.safe_load(config.read_text("utf-8"))
    first, last = (device["address"] for device in written["devices"])
    async with await connect(last) as connection:
        digest = Digest("admin", "s3cret")
        assert (await log_in(connection, call("getNTPInfo"), digest)).status == 200
    stop.set()
    assert await running == 0
    assert (
        capsys.readouterr().out
        == f"2 simulated devices (healthy): http://{first} to http://{last}\n"
    )
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


async def test_a_fleet_that_cannot_be_served_is_an_error_with_exit_code_1(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = parser.parse_args(["--devices=3", "--listen=127.0.0.1:65534"])
    assert await command.run(arguments, asyncio.Event()) == 1
    assert capsys.readouterr().err == (
        "simulate: 3 devices from port 65534 on go beyond port 65535\n"
    )
