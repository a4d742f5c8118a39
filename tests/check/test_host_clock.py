"""`check` with time servers: the host's clock, and how far each device is from the true time."""

import json
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from exporter.clock.host import kernel_says_synchronized
from exporter.simulator.time_server import SimulatedTimeServer, serve_time_server
from tests.check.process import check, check_site
from tests.support.command_process import GET, CommandSite, running_command, site

WORDS = {
    True: "this host's clock: kernel says synchronized",
    False: "this host's clock is not verified: kernel says unsynchronized",
    None: "this host's clock is not verified: kernel does not say whether it is synchronized",
}
KERNEL = WORDS[kernel_says_synchronized()]


@asynccontextmanager
async def site_with(
    servers: Sequence[SimulatedTimeServer], folder: Path, devices: int = 1, timeout: str = "200ms"
) -> AsyncIterator[tuple[CommandSite, list[str]]]:
    """Serve devices with the host's time, and these time servers; yields the servers' names."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(site(devices, folder, expect={}))
        names = [await stack.enter_async_context(serve_time_server(each)) for each in servers]
        here.config["time_servers"] = {"servers": names, "timeout": timeout}
        yield here, names


async def test_the_hosts_clock_is_shown_between_tables_and_summary(tmp_path: Path) -> None:
    servers = [
        *(SimulatedTimeServer(offset_seconds=0.25) for _ in range(4)),
        SimulatedTimeServer(answers=False),
        SimulatedTimeServer(offset_seconds=0.25, stratum=16, leap=3),
        SimulatedTimeServer(kiss="DENY"),
    ]
    async with site_with(servers, tmp_path, devices=2) as (here, names):
        run = await check_site(here, "--verbose")
    assert [each.requests for each in servers] == [1] * 7
    *tables, host, dead, unsynchronized, refusing, summary = run.out.splitlines()
    assert re.fullmatch(
        r"this host's clock: -2\d\d\.\d{3} ms ± \S+ ms \(4 of 7 time servers\)", host
    )
    assert dead == f"  time server {names[4]}: no response from 127.0.0.1 within 0.2 s"
    assert re.fullmatch(
        rf"  time server {names[5]}: not usable: stratum 16, leap 3, ± \d+\.\d+ ms", unsynchronized
    )
    assert refusing == f"  time server {names[6]}: the server answered DENY"
    assert summary == "2 devices: 2 fine"
    true_offsets = [line for line in tables if line.startswith("  true offset  ")]
    assert len(true_offsets) == 2
    shown = r"  true offset  -[23]\d\d\.\d{3} ms ± \S+ ms from the time servers"
    assert all(re.fullmatch(shown, line) for line in true_offsets)
    assert (run.err, run.code) == ("", 0)


async def test_a_wrong_host_clock_is_said_and_devices_are_not_blamed_in_json(
    tmp_path: Path,
) -> None:
    servers = [SimulatedTimeServer(offset_seconds=3.6) for _ in range(3)]
    async with site_with(servers, tmp_path) as (here, _):
        run = await check_site(here)
        documents = json.loads((await check_site(here, "--json")).out)
    assert re.search(
        r"^this host's clock: -3\.\d+ s ± \S+ ms \(3 time servers\); every measured offset is wrong"
        r" by that much\n1 device: 1 fine\n\Z",
        run.out,
        re.MULTILINE,
    )
    assert run.code == 0, "the exit code is about the devices"
    [document] = documents
    offset, uncertainty = (
        document["true_offset_seconds"],
        document["true_offset_uncertainty_seconds"],
    )
    assert abs(offset - -3.6) <= uncertainty + 0.1
    assert uncertainty > document["clock"]["uncertainty_seconds"]
    assert offset == pytest.approx(document["clock"]["seconds"] - 3.6, abs=0.05)


async def test_without_time_servers_the_kernel_has_the_word_and_the_true_offset_is_unknown(
    tmp_path: Path,
) -> None:
    async with site(1, tmp_path, expect={}) as here:
        run = await check_site(here)
        [document] = json.loads((await check_site(here, "--json")).out)
    assert run.out.endswith(f"\n{KERNEL}, no time_servers configured\n1 device: 1 fine\n")
    assert "true offset" not in run.out
    assert document["true_offset_seconds"] is None
    assert document["true_offset_uncertainty_seconds"] is None


async def test_without_a_config_the_kernel_has_the_word(tmp_path: Path) -> None:
    run = await check("127.0.0.1:1", "--scheme=http", folder=tmp_path)
    assert f"\n{KERNEL}, no time_servers configured\n" in run.out


async def test_servers_that_disagree_give_no_true_offset(tmp_path: Path) -> None:
    servers = [SimulatedTimeServer(), SimulatedTimeServer(offset_seconds=7)]
    async with site_with(servers, tmp_path) as (here, _):
        run = await check_site(here)
        [document] = json.loads((await check_site(here, "--json")).out)
    assert f"\n{KERNEL}, 2 time servers disagree\n" in run.out
    assert document["true_offset_seconds"] is None


async def test_half_of_the_devices_off_make_this_host_suspect(tmp_path: Path) -> None:
    async with site(5, tmp_path, expect={}) as here:
        for device in here.devices:
            device.fault = "stepped"
        run = await check_site(here, "--only-problems")
    assert re.search(
        rf"^{KERNEL}, no time_servers configured; half of 5 devices are \S+ s or more off it, "
        "so it is more likely wrong than theirs$",
        run.out,
        re.MULTILINE,
    )


async def test_a_name_that_is_not_found_is_said(tmp_path: Path) -> None:
    async with site_with([], tmp_path) as (here, _):
        here.config["time_servers"]["servers"] = ["nobody.invalid"]
        run = await check_site(here)
    assert f"\n{KERNEL}, no usable answer from 1 time server\n" in run.out
    assert "\n  time server nobody.invalid: cannot resolve: " in run.out


async def test_an_interrupt_does_not_wait_for_silent_time_servers(tmp_path: Path) -> None:
    silent = SimulatedTimeServer(answers=False)
    async with site_with([silent], tmp_path, timeout="1h") as (here, _):
        file = f"--config.file={here.write_config()}"
        async with running_command("check", file, "--json") as run:
            polled = here.devices[0].requests.api_methods
            await run.until(lambda: silent.requests == 1 and polled[GET] == 1)
            run.signal(signal.SIGINT)
    document = run.documents["sim-00001"]
    assert document["true_offset_seconds"] is None
    assert (run.err, run.code) == ("check: interrupted\n", 0 if document["fine"] else 1)
