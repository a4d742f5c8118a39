"""`check --pin` on simulated devices with self-signed certificates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator.fleet import build_fleet
from tests.check.fingerprints import fingerprint_at
from tests.check.process import check_site
from tests.support.command_process import CommandSite, Run, site
from tests.support.terminal import at_terminal

ACCOUNT = {"username": "root", "password": "pass"}


@asynccontextmanager
async def pinned_site(folder: Path, devices: int = 3) -> AsyncIterator[CommandSite]:
    """Serve devices whose module has a file for pins, which does not exist yet."""
    fleet = build_fleet(devices, scheme="https", auth="digest")
    async with site(fleet, folder, expect={}) as here:
        here.config["modules"]["default"]["tls_config"] = {"pins_file": "pins.yaml"}
        yield here


def pins(here: CommandSite) -> Any:
    return yaml.safe_load((here.folder / "pins.yaml").read_text())


async def true_pins(here: CommandSite) -> dict[str, str]:
    return {address: await fingerprint_at(address) for address in here.served.addresses}


def requests_to(here: CommandSite) -> int:
    return sum(device.requests.total for device in here.devices)


def states(run: Run) -> list[str]:
    """Return the column STATE of the table."""
    head, *rows = run.out.splitlines()
    begin = head.index("STATE")
    return [row[begin:].split("  ")[0] for row in rows if row[begin:].strip()]


async def test_all_certificates_are_pinned_and_nothing_is_sent_to_a_device(
    tmp_path: Path,
) -> None:
    async with pinned_site(tmp_path) as here:
        run = await check_site(here, "--pin", "--yes")
        assert requests_to(here) == 0
        wanted = await true_pins(here)
        assert (run.code, run.err, pins(here)) == (0, "", wanted)
        for address, fingerprint in wanted.items():
            [line] = [line for line in run.out.splitlines() if address in line]
            assert line.split("  ")[-1] == fingerprint
            assert "CN=axis-" in line
            assert " itself " in line
        assert "3 devices: 3 new\nPinned 3 certificates in " in run.out
        checked = await check_site(here, "--json")
    assert checked.code == 0
    assert {each["tls"]["why"] for each in checked.documents.values()} == {
        "has the pinned fingerprint"
    }


async def test_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        await check_site(here, "--pin", "--yes")
        before = (tmp_path / "pins.yaml").read_bytes()
        run = await check_site(here, "--pin", "--yes")
    assert (run.code, run.out) == (0, "3 devices: 3 pinned\n")
    assert (tmp_path / "pins.yaml").read_bytes() == before


async def test_a_changed_certificate_is_told_and_needs_replace(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        first, *others = here.served.addresses
        file = tmp_path / "pins.yaml"
        file.write_text(f"# lobby\n'{first}': {'ab' * 32}\n")
        run = await check_site(here, "--pin", "--yes")
        assert run.code == 1
        assert "1 changed" in run.out
        assert f" instead of {'ab' * 32}" in run.out
        assert run.err.endswith("pin that with --replace\n")
        kept = pins(here)
        assert (kept[first], len(kept)) == ("ab" * 32, 3)
        again = await check_site(here, "--pin", "--replace", "--yes")
        assert (again.code, pins(here)) == (0, await true_pins(here))
    assert file.read_text().startswith("# lobby\n")
    assert len(others) == 2


async def test_a_device_that_cannot_be_reached_does_not_stop_the_others(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        here.config["devices"].append({"address": "127.0.0.1:1", "name": "dead"})
        run = await check_site(here, "--pin", "--yes")
        assert (run.code, pins(here)) == (1, await true_pins(here))
    assert "cannot connect: connection refused" in run.out
    assert "4 devices: 3 new, 1 not seen\n" in run.out


async def test_only_the_named_devices_are_pinned(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        address = here.served.addresses[1]
        run = await check_site(here, "--pin", "--yes", address)
        assert (run.code, pins(here)) == (0, {address: await fingerprint_at(address)})


async def test_a_device_with_a_pin_of_its_own_is_left_out(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        here.config["devices"][0]["fingerprint_sha256"] = "ab" * 32
        run = await check_site(here, "--pin", "--yes")
        assert here.served.addresses[0] not in pins(here)
    assert "check: 1 device without a pins_file: left out\n" in run.err


@pytest.mark.parametrize(("answer", "pinned"), [("y", 3), ("n", 0)])
async def test_at_a_terminal_it_asks_once(answer: str, pinned: int, tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        file = here.write_config()
        async with at_terminal("check", f"--config.file={file}", "--pin") as terminal:
            await terminal.shows("Pin 3 certificates? [y/N]")
            terminal.keys(f"{answer}\n")
            code = await terminal.end()
        assert (code, len(pins(here) or {})) == (0 if pinned else 1, pinned)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--pin",), "--pin asks for confirmation, but there is no terminal: add --yes"),
        (("--replace",), "--replace and --yes go with --pin"),
        (("--yes",), "--replace and --yes go with --pin"),
        (
            ("--pin", "--yes", "--json"),
            "--pin prints a table once: leave out --json, --format and --watch",
        ),
    ],
)
async def test_flags_that_do_not_go_together_are_a_usage_error(
    words: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    async with pinned_site(tmp_path, 1) as here:
        run = await check_site(here, *words)
    assert (run.code, run.out, run.err) == (2, "", f"check: {problem}\n")


async def test_without_a_pins_file_it_says_how_to_have_one(tmp_path: Path) -> None:
    async with pinned_site(tmp_path, 1) as here:
        here.config["modules"]["default"]["tls_config"] = {"insecure_skip_verify": True}
        run = await check_site(here, "--pin", "--yes")
    assert run.code == 2
    assert "set `tls_config: {pins_file: pins.yaml}`" in run.err


async def test_a_file_that_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    async with pinned_site(tmp_path, 1) as here:
        (tmp_path / "pins.yaml").write_text("a: b\n")
        broken = await check_site(here, "--pin", "--yes")
        here.config["modules"]["default"]["tls_config"] = {"pins_file": "missing/pins.yaml"}
        absent = await check_site(here, "--pin", "--yes")
    assert (broken.code, broken.err.count("\n")) == (2, 1)
    assert "pins.yaml: line 1: 'a' is not a SHA-256 fingerprint" in broken.err
    assert (absent.code, absent.err.count("\n")) == (2, 1)
    assert "missing/pins.yaml: cannot be written: No such file or directory" in absent.err
