"""`check --pin` on simulated devices with self-signed certificates."""

import argparse
import asyncio
import itertools
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from exporter.check.pins import PinCheck, find_doubts, pin_lines
from exporter.commands import pin
from exporter.commands.targets import SelectedDevices, UsageError
from exporter.config import Config, DeviceConfig, ModuleConfig, load_config
from exporter.config.pins import Pins, read_pins
from exporter.config.schema import TargetConfig
from exporter.devices.device import Device, DeviceTarget
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.simulator.certificates import make_identity
from exporter.simulator.fleet import build_fleet
from exporter.system.text import cell_width
from exporter.vapix.connection import Session
from exporter.vapix.tls import Certificate
from tests.check.fingerprints import fingerprint_at
from tests.check.process import check, check_site
from tests.support.command_process import CommandSite, Run, running_command, site
from tests.support.terminal import at_terminal
from tests.vapix.tls_device import Seen, device_that, serves_tls

PASSWORD = "hunter-2"
ACCOUNT = {"username": "root", "password": PASSWORD}


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
        run = await check_site(here, "--pin", "--yes", COLUMNS="250")
        assert requests_to(here) == 0
        wanted = await true_pins(here)
        assert (run.code, run.err, pins(here)) == (0, "", wanted)
        for address, fingerprint in wanted.items():
            [line] = [line for line in run.out.splitlines() if address in line]
            assert f"  {fingerprint}  itself  CN=axis-" in line
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
        run = await check_site(here, "--pin", "--yes", COLUMNS="250")
        assert run.code == 1
        assert "1 changed" in run.out
        assert f"  {'ab' * 32}" in run.out
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
        *(
            (
                ("--pin", "--yes", *other),
                "--pin prints a table of its own: leave out the flags of the other one",
            )
            for other in (["--json"], ["--watch"], ["--sort=name"], ["--only-problems"], ["-v"])
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


async def test_the_file_is_read_once_however_many_devices_have_their_pin_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def read(file: Path) -> Pins:
        reads.append(file)
        return read_pins(file)

    monkeypatch.setattr(pin, "read_pins", read)
    async with pinned_site(tmp_path, 20) as here:
        config = load_config(here.write_config(), {})
        flags = argparse.Namespace(yes=True, replace=False)
        await pin.pin_certificates(SelectedDevices(config, config.devices), flags, 20)
        assert len(pins(here)) == 20
    assert len(reads) == 2, "before the question, and once more to write"


async def test_a_pin_that_another_command_has_written_meanwhile_stays(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        file, first = here.write_config(), here.served.addresses[0]
        async with at_terminal("check", f"--config.file={file}", "--pin") as terminal:
            await terminal.asks()
            (tmp_path / "pins.yaml").write_text(f"'{first}': {'ab' * 32}  # verified\n")
            terminal.keys("y\n")
            assert await terminal.end() == 1
        assert f"the pin of {first} was changed meanwhile: it stays" in terminal.text
        assert pins(here) == {**await true_pins(here), first: "ab" * 32}
        assert "# verified" in (tmp_path / "pins.yaml").read_text()


async def test_two_commands_at_once_lose_no_pin(tmp_path: Path) -> None:
    async with pinned_site(tmp_path, 4) as here:
        address = here.served.addresses
        await asyncio.gather(*(check_site(here, "--pin", "--yes", each) for each in address))
        assert pins(here) == await true_pins(here)


async def test_an_address_that_shows_two_certificates_is_not_pinned(tmp_path: Path) -> None:
    macs = ("b8a44f000001", "b8a44f000002")
    contexts = itertools.cycle([make_identity(mac).server_context() for mac in macs])

    def serve(connection: socket.socket) -> None:
        serves_tls(next(contexts), Seen())(connection)

    async with device_that(serve) as address:
        module = {"auth": ACCOUNT, "tls_config": {"pins_file": "pins.yaml"}}
        names = [{"address": address, "name": name} for name in ("a", "b")]
        config = {"modules": {"default": module}, "devices": names}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        run = await check("--pin", "--yes", "--concurrency=1", folder=tmp_path)
    assert (run.code, states(run)[:2]) == (1, ["ambiguous", "ambiguous"])
    assert yaml.safe_load((tmp_path / "pins.yaml").read_text()) is None


async def test_after_ctrl_c_nothing_is_pinned(tmp_path: Path) -> None:
    async with pinned_site(tmp_path) as here:
        silent = socket.create_server(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        here.config["devices"].append({"address": f"127.0.0.1:{port}", "name": "silent"})
        here.config["global"]["timeout"] = "1h"
        file = here.write_config()
        words = ("check", f"--config.file={file}", "--pin", "--yes")
        async with running_command(*words, folder=tmp_path) as run:
            connection, _ = await asyncio.to_thread(silent.accept)
            run.signal()
        assert (run.code, pins(here)) == (1, None)
        connection.close()
        silent.close()


async def test_the_file_keeps_its_owner_its_mode_and_a_link_to_it(tmp_path: Path) -> None:
    async with pinned_site(tmp_path, 1) as here:
        (tmp_path / "elsewhere").mkdir()
        target = tmp_path / "elsewhere" / "real.yaml"
        (tmp_path / "pins.yaml").symlink_to(target)
        first = await check_site(here, "--pin", "--yes")
        assert (first.code, target.is_file()) == (0, True)
        target.write_text("\ufeff# by hand\n", "utf-8")
        target.chmod(0o600)
        if os.getuid() == 0:
            os.chown(target, 1234, 1235)
        again = await check_site(here, "--pin", "--yes")
        status = target.stat()
    assert (again.code, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    assert (status.st_uid, status.st_gid) == ((1234, 1235) if os.getuid() == 0 else status[4:6])
    assert (tmp_path / "pins.yaml").is_symlink()


CERTIFICATE = Certificate("CN=gate", "ab" * 32, None, "CN=gate")


def pin_check(name: str = "gate", pinned: str = "", **labels: str) -> PinCheck:
    module = ModuleConfig.model_validate({"auth": ACCOUNT})
    factory = ClientFactory(read_client_settings(module))
    client = factory.client("192.0.2.9", cast("Session", None))
    device = Device(DeviceTarget(name, f"{name}.example", labels, 60, 10), client)
    return PinCheck(device, Path("pins"), pinned, CERTIFICATE)


def lines(*checks: PinCheck, width: int) -> list[str]:
    return ["".join(span.text for span in line) for line in pin_lines(checks, width)]


def test_the_table_shows_the_devices_texts_printable_and_without_the_password() -> None:
    made = pin_check()
    subject = f"CN=\x1b[31m {PASSWORD}"
    made.certificate = CERTIFICATE._replace(subject=subject, issuer="CN=site CA")
    [_, row] = lines(made, width=200)
    assert "\x1b" not in row
    assert PASSWORD not in row
    assert f"  unreadable  {'ab' * 32}  CN=site CA  CN=" in row


def test_no_line_is_wider_than_the_terminal() -> None:
    unseen = pin_check("another camera")
    unseen.certificate = None
    changed = pin_check("大" * 8, pinned="cd" * 32)
    shown = [lines(pin_check(), changed, unseen, width=width) for width in range(72, 260, 17)]
    assert all(
        cell_width(line) <= n
        for n, table in zip(range(72, 260, 17), shown, strict=True)
        for line in table
    )
    head, first, second, third = shown[0]
    assert head.split() == ["DEVICE", "ADDRESS", "STATE", "ENDS"]
    assert first.split()[2:] == ["new", "unreadable"]
    assert "changed" in second
    assert third.split()[-2:] == ["not", "asked"]
    assert f"{'ab' * 32}  {'cd' * 32}  itself  CN=gate" in shown[-1][2]


def test_signs_of_a_man_in_the_middle_are_told_before_the_question() -> None:
    same = [pin_check(name) for name in ("a", "b", "c", "d")]
    other = pin_check("e", serial="B8A44F000001")
    named = "CN=axis-b8a44f000002-eccp256-1, O=Axis Communications AB"
    other.certificate = CERTIFICATE._replace(subject=named, fingerprint_sha256="cd" * 32)
    own = pin_check("f", serial="B8A44F000002")
    own.certificate = CERTIFICATE._replace(subject=named, fingerprint_sha256="ef" * 32)
    assert [*find_doubts([*same, other, own])] == [
        "a, b, c and 1 more show the same certificate, abababababababab…",
        "the certificate of e has the serial number of another device",
    ]
    assert [*find_doubts([own, pin_check("g")])] == []


@pytest.mark.parametrize(
    ("module", "device", "is_for_file"),
    [
        ({}, {}, True),
        ({}, {"fingerprint_sha256": "ab" * 32}, False),
        ({}, {"settings": {"__fingerprint_sha256__": "ab" * 32}}, False),
        ({}, {"settings": {"__scheme__": "http"}}, False),
        ({"tls_config": {}}, {}, False),
    ],
)
def test_which_devices_have_their_pin_in_the_file(
    module: dict[str, Any], device: dict[str, Any], *, is_for_file: bool
) -> None:
    section = {"tls_config": {"pins_file": "/pins"}, **module}
    kind = TargetConfig if "settings" in device else DeviceConfig
    made = kind.model_validate({"address": "a", **device})
    config = Config.model_validate({"modules": {"default": section}})
    targets = SelectedDevices(config, (made,))
    if is_for_file:
        assert pin.with_pins_file(targets).devices == (made,)
    else:
        with pytest.raises(UsageError):
            pin.with_pins_file(targets)
