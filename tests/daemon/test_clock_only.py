"""A device that closes the connection on every CGI request: `clock_only` measures its clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

from tests.support.daemon_process import daemon_on


@asynccontextmanager
async def switch_without_ntp_cgi() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (head := await reader.read(4096)).startswith(b"HEAD / "):
            date = formatdate(usegmt=True)
            writer.write(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\n\r\n".encode())
            assert b"Authorization" not in head
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_it_is_up_and_has_a_measured_clock_and_nothing_else(tmp_path: Path) -> None:
    async with switch_without_ntp_cgi() as address:
        config = {
            "global": {"interval": "500ms"},
            "modules": {
                "switch": {"scheme": "http", "clock_only": True},
                "plain": {"scheme": "http"},
            },
            "devices": [
                {"address": address, "name": "switch", "module": "switch"},
                {"address": address, "name": "camera", "module": "plain"},
            ],
        }
        async with daemon_on(config, tmp_path) as running:
            found = await running.ready()
            assert found.by_device("axis_ntp_up") == {"switch": 1, "camera": 0}
            assert abs(found.by_device("axis_ntp_clock_offset_seconds")["switch"]) < 2
            assert "switch" not in found.by_device("axis_ntp_client_present")
            assert "switch" not in found.by_device("axis_ntp_synced")
            assert "switch" not in found.by_device("axis_ntp_server_present")
            assert "clock only" in (await running.get("/device/switch"))[1]
    assert "Traceback" not in running.text
