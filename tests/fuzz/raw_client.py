"""The device client on a real socket, whose device answers each request with the same bytes."""

import asyncio
import atexit
from contextlib import AsyncExitStack
from functools import cached_property

from exporter.clock.http_time import CallTimes
from exporter.vapix.client import NtpClient
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.ntp_info import Reading
from tests.vapix.raw_device import client_of, read_request

_ACCOUNT = DeviceCredentials("root", "Tr0ub4dor&3")
_TIMEOUT_SECONDS = 20.0


class _RawDevice:
    """A device and the session of its clients, kept until the process ends."""

    def __init__(self) -> None:
        self.response = b""
        self.loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        atexit.register(self._close)

    def _close(self) -> None:
        self.loop.run_until_complete(self._stack.aclose())
        self.loop.close()

    @cached_property
    def first_client(self) -> NtpClient:
        return self.loop.run_until_complete(self._stack.enter_async_context(client_of(self._serve)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(self.response)

    def new_client(self) -> NtpClient:
        first = self.first_client
        authenticator = Authenticator("auto", _ACCOUNT, secure=False)
        return NtpClient(first._session, first._endpoint, authenticator)


_device: list[_RawDevice] = []


def poll_device(response: bytes) -> tuple[Reading, CallTimes]:
    """Poll a device that sends these bytes. Raises `DeviceError`."""
    if not _device:
        _device.append(_RawDevice())
    device = _device[0]
    device.response = response
    client = device.new_client()
    try:
        timed = device.loop.run_until_complete(client.get_info(_TIMEOUT_SECONDS))
    finally:
        client.close()
    return timed.value, timed.times
