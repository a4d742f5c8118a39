import argparse
import asyncio
import stat
from pathlib import Path

import pytest
import yaml

from exporter.simulator import command
from exporter.simulator.authentication import POLICIES
from exporter.simulator.faults import FAULTS
from exporter.simulator.fleet import SPREADS
from exporter.simulator.scenarios import SCENARIOS
from tests.simulator.hand_client import Digest, call, connect, log_in, until


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="axis-ntp-exporter simulate")
    command.add_arguments(made)
    return made


def test_help_lists_everything_that_can_be_named(parser: argparse.ArgumentParser) -> None:
    lines = parser.format_help().splitlines()
    for table in (SCENARIOS, POLICIES, FAULTS):
        for name, row in table.items():
            assert f"  {name:<24} {row.description}" in lines
    for name, description in SPREADS.items():
        assert f"  {name:<24} {description}" in lines
    assert "  fault:NAME               every device has that fault" in lines


def test_defaults(parser: argparse.ArgumentParser) -> None:
    arguments = parser.parse_args([])
    assert (arguments.devices, arguments.scenario, arguments.listen) == (
        20,
        "healthy",
        ("127.0.0.1", 8080),
    )
    assert (arguments.spread, arguments.scheme, arguments.auth) == ("port", "http", "recommended")


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--devices=0", "'0' is no number of devices"),
        ("--devices=many", "'many' is no number of devices"),
        ("--scenario=sunny", "no scenario is called 'sunny'"),
        ("--scenario=fault:rust", "no fault is called 'rust'"),
        ("--listen=8080", "'8080' is no HOST:PORT"),
        ("--listen=[::1]:65536", "'[::1]:65536' is no HOST:PORT"),
        ("--auth=telepathy", "invalid choice: 'telepathy'"),
    ],
)
def test_a_bad_flag_is_a_usage_error_that_tells_why(
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


async def test_serves_until_stopped_and_writes_a_config_that_leads_there(
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


async def test_what_cannot_be_served_is_told_and_exits_with_1(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = parser.parse_args(["--devices=3", "--listen=127.0.0.1:65534"])
    assert await command.run(arguments, asyncio.Event()) == 1
    assert capsys.readouterr().err == (
        "simulate: 3 devices from port 65534 on go beyond port 65535\n"
    )
