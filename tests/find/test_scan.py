"""Devices are known by their realm or an answer of their API; nothing else is."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from exporter.discovery.target_groups import read_groups
from exporter.find.scan import FoundDevice, Question, Scanner, choose_devices
from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.vapix.connection import open_session
from tests.support.command_process import Run, running_command
from tests.support.programs import free_port

FIRST = "127.1.0.1"


async def ask(port: int, host: str = "127.0.0.1", timeout_seconds: float = 5) -> Question:
    question = Question(host, port)
    async with open_session() as session:
        await Scanner(session, timeout_seconds).ask(question)
    return question


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve raw bytes, an answer a connection; yield the port and what was received."""
    received: list[bytes] = []
    ended: list[None] = []
    left = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65_536))
        writer.write(next(left, b""))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.append(None)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], received
        async with asyncio.timeout(10):
            while len(ended) < len(received):
                await asyncio.sleep(0)


def reply(status: str, *fields: str, body: str = "") -> bytes:
    lines = (f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", body)
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_device_is_found_by_its_realm(scheme: str) -> None:
    fleet = build_fleet(1, scheme=scheme)
    async with serve_fleet(fleet) as served:
        port = int(served.addresses[0].rpartition(":")[2])
        found = (await ask(port)).found
    serial = fleet.devices[0].mac.replace(":", "").upper()
    assert found == FoundDevice("127.0.0.1", port, scheme, serial)
    assert fleet.devices[0].requests.total == 1
    assert fleet.devices[0].requests.last.authorization is None


API_ERROR = '{"apiVersion": "1.0", "error": {"code": 4002, "message": "Access denied"}}'


@pytest.mark.parametrize(
    ("answer", "is_axis"),
    [
        (reply("401 Unauthorized", 'WWW-Authenticate: Digest realm="AXIS_ACCC8E012345"'), True),
        (reply("401 Unauthorized", 'WWW-Authenticate: Basic realm="AXIS_accc8e012345"'), True),
        (reply("200 OK", "Content-Type: application/json", body=API_ERROR), True),
        (reply("401 Unauthorized", 'WWW-Authenticate: Basic realm="router"'), False),
        (reply("404 Not Found"), False),
        (reply("403 Forbidden"), False),
        (reply("200 OK", body="<html>AXIS_ACCC8E012345</html>"), False),
        (reply("302 Found", "Location: https://AXIS_ACCC8E012345/"), False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
    ids=lambda each: str(each)[:60],
)
async def test_only_what_answers_as_a_device_is_one(answer: bytes, is_axis: bool) -> None:  # noqa: FBT001
    async with answering(b"", answer) as (port, received):
        found = (await ask(port)).found
    assert (found is not None) == is_axis
    assert not [each for each in received if b"authorization" in each.lower()]


async def test_a_closed_port_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, attempts, port = asyncio.get_running_loop(), [], free_port()
    connect = loop.sock_connect

    async def counted(sock: socket.socket, address: Any) -> None:
        attempts.append(address)
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", counted)
    assert (await ask(port)).found is None
    assert attempts == [("127.0.0.1", port)]


async def test_a_port_that_ends_the_tls_handshake_is_asked_in_plain_http_too() -> None:
    asked: list[None] = []

    def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(None)
        writer.transport.abort()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        await ask(server.sockets[0].getsockname()[1])
    assert len(asked) == 2


async def test_a_port_that_accepts_and_says_nothing_takes_the_timeout() -> None:
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        began = time.monotonic()
        question = await ask(server.sockets[0].getsockname()[1], timeout_seconds=0.2)
        assert question.found is None
        assert time.monotonic() - began < 10
        await ended.wait()


def test_each_device_is_chosen_once_and_https_first() -> None:
    a80, a443 = FoundDevice("10.0.0.1", 80, "http", "A"), FoundDevice("10.0.0.1", 443, "https", "A")
    b, again = FoundDevice("10.0.0.2", 80, "http", "B"), FoundDevice("10.0.0.3", 443, "https", "B")
    unnamed = [FoundDevice(f"10.0.0.{n}", 443, "https", "") for n in (4, 5)]
    behind = FoundDevice("10.0.0.1", 8443, "https", "C")
    chosen, others = choose_devices([a80, a443, behind, b, again, *unnamed])
    assert (chosen, others) == ([a443, behind, b, *unnamed], [again])


@pytest.mark.parametrize(
    ("host", "port", "scheme", "address"),
    [
        ("10.0.0.1", 80, "http", "10.0.0.1"),
        ("10.0.0.1", 443, "https", "10.0.0.1"),
        ("10.0.0.1", 443, "http", "10.0.0.1:443"),
        ("2001:db8::1", 8443, "https", "[2001:db8::1]:8443"),
        ("2001:db8::1", 443, "https", "2001:db8::1"),
    ],
)
def test_the_address_has_a_port_only_if_it_must(
    host: str, port: int, scheme: str, address: str
) -> None:
    assert FoundDevice(host, port, scheme, "").address == address


async def run_find(folder: Path, *words: str) -> Run:
    async with running_command("find", *words, folder=folder) as run:
        pass
    return run


async def test_200_devices_of_a_network_are_found_and_no_password_is_sent(tmp_path: Path) -> None:
    fleet = build_fleet(200)
    async with serve_fleet(fleet, host=FIRST, port=free_port(), spread="address") as served:
        port = served.addresses[0].rpartition(":")[2]
        run = await run_find(
            tmp_path, "127.1.0.0/24", f"--ports={port}", "--label", "site=hq", "--output=found.yaml"
        )
    assert (run.code, run.out) == (0, "")
    plain, count, wrote = run.err.splitlines()
    assert plain.startswith("find: 200 devices without https: a module that pins certificates ")
    assert count == "find: found 200 devices; asked 254 ports of 254 addresses"
    assert wrote == "find: wrote found.yaml"
    devices, problems = read_groups((tmp_path / "found.yaml").read_bytes(), is_json=False)
    assert problems == ()
    assert sorted(each.address for each in devices) == sorted(served.addresses)
    first = fleet.devices[0]
    serial = first.mac.replace(":", "").upper()
    [found] = [each for each in devices if each.address == served.addresses[0]]
    assert (found.name, found.labels) == (
        f"axis-{serial.lower()}",
        {"serial": serial, "site": "hq"},
    )
    assert sum(device.requests.authorized for device in fleet.devices) == 0
    seen = [each.request for device in fleet.devices for each in device.requests.recent]
    assert {request.authorization for request in seen} == {None}


async def test_no_device_is_code_1_and_too_many_addresses_code_2(tmp_path: Path) -> None:
    none = await run_find(tmp_path, "127.1.1.1", f"--ports={free_port()}")
    said = "find: found no device: nothing answered; asked 1 port of 1 address\n"
    assert (none.code, none.out, none.err) == (1, "[]\n", said)
    many = await run_find(tmp_path, "10.0.0.0/8")
    assert many.code == 2
    assert "16,777,216 addresses are more than 65,536" in many.err


async def test_hosts_that_are_no_devices_are_counted(tmp_path: Path) -> None:
    async with answering(b"", reply("404 Not Found")) as (port, _):
        none = await run_find(tmp_path, "127.0.0.1", f"--ports={port},{free_port()}")
    said = "1 host answered, none is an Axis device; asked 2 ports of 1 address"
    assert (none.code, none.err) == (1, f"find: found no device: {said}\n")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("no/found.yaml", "there is no folder no"),
        ("file/found.yaml", "Not a directory"),
        ("folder", "Is a directory"),
    ],
)
async def test_an_output_that_cannot_be_written_is_told_before_the_search(
    output: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    async with answering() as (port, received):
        run = await run_find(tmp_path, "127.0.0.1", f"--ports={port}", f"--output={output}")
    assert (run.code, run.err) == (1, f"find: {output}: cannot be written: {reason}\n")
    assert received == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


async def test_the_next_step_is_told_where_there_is_a_config_and_a_certificate(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    async with serve_fleet(build_fleet(1, scheme="https")) as served:
        port = served.addresses[0].rpartition(":")[2]
        run = await run_find(tmp_path, "127.0.0.1", f"--ports={port}", "--output=found.yaml")
    step = "find: wrote found.yaml; next, pin the certificates: axis-ntp-exporter check --pin\n"
    assert run.err == f"find: found 1 device; asked 1 port of 1 address\n{step}"


async def test_an_interrupted_search_says_how_far_it_came(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        ports = f"--ports={free_port()},{server.sockets[0].getsockname()[1]}"
        words = ("find", "127.0.0.1", ports, "--timeout=1m", "--concurrency=1")
        async with running_command(*words, folder=tmp_path) as run:
            await asked.wait()
            run.signal()
    said = "find: interrupted: found no device: nothing answered; asked 1 of 2 ports of 1 address\n"
    assert (run.code, run.err) == (1, said)


async def test_a_search_that_finds_nothing_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "found.yaml"
    output.write_text("- targets: [10.0.0.1]\n")
    run = await run_find(tmp_path, "127.1.1.1", f"--ports={free_port()}", "--output=found.yaml")
    assert run.code == 1
    assert "find: found.yaml is not written\n" in run.err
    assert output.read_text() == "- targets: [10.0.0.1]\n"
