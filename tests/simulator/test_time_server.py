"""The simulated time servers, and the fleets that use them."""

import asyncio
import socket

import pytest

from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.simulator.time_server import SimulatedTimeServer, serve_time_server

NOW_NS = 1_800_000_000_250_000_000
EPOCH_SECONDS = 2_208_988_800
REQUEST = b"\x23" + bytes(39) + b"a nonce!"


def seconds(timestamp: bytes) -> float:
    return int.from_bytes(timestamp) / 2**32 - EPOCH_SECONDS


def reply_of(server: SimulatedTimeServer) -> bytes:
    server.host_nanoseconds = lambda: NOW_NS
    reply = server.reply(REQUEST)
    assert reply is not None
    assert len(reply) == 48
    return reply


def test_it_answers_with_its_time_and_the_clients_number() -> None:
    reply = reply_of(SimulatedTimeServer(offset_seconds=0.5))
    assert (reply[0], reply[1], reply[24:32]) == (0x24, 2, b"a nonce!")
    assert seconds(reply[32:40]) == seconds(reply[40:48]) == pytest.approx(NOW_NS / 1e9 + 0.5)


def test_an_unsynchronized_one_says_so() -> None:
    reply = reply_of(SimulatedTimeServer(stratum=16, leap=3))
    assert (reply[0] >> 6, reply[1], reply[12:16]) == (3, 0, bytes(4))


def test_a_windows_server_has_a_root_dispersion_of_10_s() -> None:
    reply = reply_of(SimulatedTimeServer(root_dispersion_seconds=10))
    assert int.from_bytes(reply[8:12]) == 10 * 2**16


def test_a_kiss_of_death_is_sent() -> None:
    reply = reply_of(SimulatedTimeServer(kiss="RATE"))
    assert (reply[0] >> 6, reply[1], reply[12:16]) == (3, 0, b"RATE")


def test_a_dead_one_and_a_short_packet_get_no_answer() -> None:
    assert SimulatedTimeServer(answers=False).reply(REQUEST) is None
    assert SimulatedTimeServer().reply(REQUEST[:47]) is None


async def test_it_is_served_over_udp() -> None:
    server = SimulatedTimeServer()
    async with serve_time_server(server) as address:
        host, _, port = address.rpartition(":")
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(0)
            client.connect((host, int(port)))
            client.send(REQUEST)
            reply = await asyncio.get_running_loop().sock_recv(client, 100)
    assert (len(reply), server.requests) == (48, 1)


async def test_the_demo_has_three_time_servers_and_eight_devices_use_the_dead_one() -> None:
    async with serve_fleet(build_fleet(20, "demo")) as served:
        answering, dead = served.time_servers[:2], served.time_servers[2:]
        config = served.exporter_config()
        uses = {
            each.name: each.client.configuration.active_servers() for each in served.fleet.devices
        }
        silent = {each.name for each in served.fleet.devices if not each.client.servers_answer}
    assert config["time_servers"] == {"servers": [*answering, *dead], "interval": "16s"}
    assert [server.answers for server in served.fleet.time_servers] == [True, True, False]
    users_of_dead = {name for name, servers in uses.items() if servers == dead}
    assert users_of_dead == {
        "stairwell-1",
        "dock-1",
        "dock-3",
        "dock-4",
        "aisle-1",
        "aisle-2",
        "parking",
        "till-1",
    }
    assert silent == users_of_dead
    assert uses["lobby"] == answering
    assert uses["gate"] == []


async def test_other_fleets_have_no_time_servers() -> None:
    async with serve_fleet(build_fleet(2)) as served:
        assert served.time_servers == []
        assert "time_servers" not in served.exporter_config()
        assert served.fleet.devices[0].client.configuration.static_servers[0] == "192.0.2.123"
