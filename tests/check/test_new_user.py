"""`check 192.168.0.90 --username root`: without a config, asking for the password."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.fleet import build_fleet
from tests.check.fingerprints import fingerprint_at
from tests.check.process import check, check_site, empty_folder
from tests.support.command_process import site
from tests.support.passwords import assert_hidden
from tests.support.terminal import at_terminal

PASSWORD = "S3cret $x \u00fc"


@asynccontextmanager
async def one_device(folder: Path, **access: Any) -> AsyncIterator[tuple[Any, str, Path]]:
    """Serve a device; yields it, its address, and a folder without a config."""
    fleet = build_fleet(1, password=PASSWORD, **access)
    async with site(fleet, folder) as here:
        yield here.devices[0], here.served.addresses[0], empty_folder(folder)


async def test_the_terminal_asks_for_the_password_and_does_not_show_it(tmp_path: Path) -> None:
    async with (
        one_device(tmp_path, scheme="https") as (_, address, folder),
        at_terminal(
            "check", address, "--username=root", "--insecure-skip-verify", folder=folder
        ) as terminal,
    ):
        await terminal.until(lambda: "Password: " in terminal.text)
        words = Path(f"/proc/{terminal.process.pid}/cmdline").read_bytes()
        terminal.keys(f"{PASSWORD}\n")
        await terminal.shows("1 device: 1 fine")
        assert await terminal.end() == 0
        assert f"{address}: fine" in terminal.text
        assert "S3cret" not in terminal.screen
        assert b"S3cret" not in words


async def test_no_password_is_a_usage_error(tmp_path: Path) -> None:
    async with (
        one_device(tmp_path) as (device, address, folder),
        at_terminal("check", address, "--username=root", folder=folder) as terminal,
    ):
        await terminal.until(lambda: "Password: " in terminal.text)
        terminal.keys("\n")
        await terminal.shows("The password is empty. Type it again, or end with Ctrl-C.")
        await terminal.until(lambda: terminal.text.count("Password: ") == 2)
        terminal.keys("\x04")
        assert await terminal.end() == 2
        await terminal.shows("check: no password: type it, pipe it in, or use --password-file")
        assert device.requests.total == 0


async def test_interrupting_the_password_prompt_ends_it_quietly(tmp_path: Path) -> None:
    async with (
        one_device(tmp_path) as (_, address, folder),
        at_terminal("check", address, "--username=root", folder=folder) as terminal,
    ):
        await terminal.until(lambda: "Password: " in terminal.text)
        terminal.process.send_signal(2)
        assert await terminal.end() == 1
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    "typed", [f"{PASSWORD}\n", PASSWORD, f"\ufeff{PASSWORD}\r\nmore\n"], ids=ascii
)
async def test_the_password_can_be_piped(typed: str, tmp_path: Path) -> None:
    async with one_device(tmp_path) as (_, address, folder):
        words = [address, "--username=root", "--scheme=http"]
        run = await check(*words, typed=typed.encode(), folder=folder)
    assert (run.code, run.err) == (0, "")
    assert "  login        digest\n" in run.out


async def test_the_password_can_be_read_from_a_file(tmp_path: Path) -> None:
    async with one_device(tmp_path) as (_, address, folder):
        (folder / "password").write_text(f"{PASSWORD}\n")
        words = [address, "--username=root", "--scheme=http", "--password-file=password"]
        run = await check(*words, folder=folder)
    assert (run.code, run.err) == (0, "")


async def test_a_piped_password_is_never_printed(tmp_path: Path) -> None:
    async with one_device(tmp_path) as (_, address, folder):
        wrong = [address, "--username=root", "--scheme=http"]
        run = await check(*wrong, typed=b"wrong", folder=folder)
        right = await check(*wrong, typed=PASSWORD.encode(), folder=folder)
    assert "HTTP 401: the device refused the username or password" in run.out
    assert "wrong" not in run.out + run.err
    assert run.code == 1
    assert_hidden(PASSWORD, [], right.out + right.err)


async def test_a_self_signed_device_gets_the_flag_that_pins_it(tmp_path: Path) -> None:
    async with one_device(tmp_path, scheme="https") as (device, address, folder):
        words, typed = [address, "--username=root"], PASSWORD.encode()
        pin = await fingerprint_at(address)
        first = await check(*words, typed=typed, folder=folder)
        assert device.requests.total == 0
        flag = f"--fingerprint-sha256={pin}"
        second = await check(*words, flag, typed=typed, folder=folder)
    assert f"If this is the device's own certificate, pin it: add {flag}.\n" in first.out
    assert "  TLS          verified: has the pinned fingerprint\n" in second.out
    assert (first.code, second.code) == (1, 0)


async def test_basic_credentials_are_never_sent_over_plain_http(tmp_path: Path) -> None:
    async with one_device(tmp_path, auth="basic") as (device, address, folder):
        words = [address, "--username=root", "--scheme=http"]
        run = await check(*words, typed=PASSWORD.encode(), folder=folder)
        assert not any("Basic" in str(seen) for seen in device.requests.recent)
    assert "Use https, or enable Digest on the device and set `auth.scheme: auto`." in run.out
    assert run.code == 1


async def test_the_clock_is_measured_without_an_account_too(tmp_path: Path) -> None:
    async with one_device(tmp_path) as (_, address, folder):
        run = await check(address, "--scheme=http", folder=folder)
    assert "  clock        " in run.out
    advice = "Add --username and type the password of an administrator account on the device."
    assert advice in run.out
    assert run.code == 1


async def test_without_a_config_a_device_is_an_address_and_a_warning_says_so(
    tmp_path: Path,
) -> None:
    async with one_device(tmp_path, scheme="https") as (_, address, folder):
        run = await check(address, folder=folder)
    assert run.err == "check: there is no config.yaml, so each DEVICE is used as an address\n"
    assert f"{address}: problem\n" in run.out
    assert run.code == 1


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["127.9.9.9"], ", or try `--scheme http`."),
        (["127.9.9.9", "--scheme=http"], ", or try `--scheme https`."),
        (["127.9.9.9:1"], "."),
        (["192.0.2.1.invalid"], None),
    ],
)
async def test_a_refused_connection_to_the_usual_port_may_need_the_other_scheme(
    words: list[str], advice: str | None, tmp_path: Path
) -> None:
    run = await check(*words, folder=empty_folder(tmp_path))
    begin = "Check power and network of the device, and its address and scheme"
    lines = [line for line in run.out.splitlines() if line.startswith("  what to do")]
    if advice is None:
        assert "--scheme" not in run.out
    else:
        assert lines == [f"  what to do   {begin}{advice}"]
    assert run.code == 1


async def test_a_refused_connection_of_a_config_needs_no_flag(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("devices: [{address: 127.9.9.9}]")
    run = await check(folder=tmp_path)
    assert "connection refused" in run.out
    assert "--scheme" not in run.out


async def test_device_flags_take_precedence_over_a_config_in_the_folder(tmp_path: Path) -> None:
    async with site(build_fleet(1, password=PASSWORD), tmp_path) as here:
        here.write_config()
        words = [here.served.addresses[0], "--username=root", "--scheme=http"]
        run = await check(*words, typed=PASSWORD.encode(), folder=tmp_path)
        configured = await check_site(here)
    assert run.out.startswith(f"{words[0]}: fine\n"), "it has no `expect`"
    assert configured.out.startswith(f"sim-00001 ({words[0]}): problem\n")


WRONG = [
    (["--username=root"], "name a device by its address, such as 192.168.0.90"),
    (["x/y", "--username=root"], "'x/y' is not host, host:port or [v6]:port"),
    (["a.example", "--username=a:b"], "--username: must not contain a colon"),
    (["a.example", "--password-file=x"], "--password-file needs --username"),
    (
        ["a.example", "--username=root", "--password-file=missing"],
        "--password-file: cannot read missing: No such file or directory",
    ),
    (["a.example", "--ca-file=missing"], "--ca-file: cannot read missing: No such file"),
    (["a.example", "--fingerprint-sha256=ab"], "--fingerprint-sha256: is not a SHA-256 fing"),
    (
        ["a.example", "--scheme=http", "--site=hq"],
        "--site and --selector need a config: they select by its labels",
    ),
    (["a.example", "--username=root"], "no password: type it, pipe it in, or use --password-"),
]


@pytest.mark.parametrize(("words", "problem"), WRONG, ids=lambda each: str(each)[:40])
async def test_usage_errors_exit_with_2(words: list[str], problem: str, tmp_path: Path) -> None:
    run = await check(*words, folder=empty_folder(tmp_path))
    assert run.err.startswith(f"check: {problem}")
    assert (run.code, run.out) == (2, "")


async def test_undecodable_input_is_a_usage_error(tmp_path: Path) -> None:
    words = ["a.example", "--username=root"]
    run = await check(
        *words, typed=b"\xff\xfe\n", folder=empty_folder(tmp_path), PYTHONIOENCODING="utf-8:strict"
    )
    assert run.err == "check: the password on standard input is not valid text\n"
    assert run.code == 2
