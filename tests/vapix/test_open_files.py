"""A process without a free file number can neither connect nor resolve: not the device's fault."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from yarl import URL

from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import open_session
from exporter.vapix.dns import CachingResolver, LookupFailed
from exporter.vapix.http_auth import Authenticator
from tests.vapix.dns_server import at, dns_of, dns_server
from tests.vapix.raw_device import ROOT, at_once, client_of, error_of, servers_max


@contextmanager
def no_file_left() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_too_many_open_files_is_an_internal_error_that_says_what_to_do() -> None:
    async with client_of(at_once) as client:
        with no_file_left():
            error = await error_of(client)
        assert error.reason == "internal"
        assert "LimitNOFILE=" in str(error)
        assert await servers_max(client) == 5


async def test_a_name_that_cannot_be_resolved_without_a_file_is_the_same_error() -> None:
    endpoint = Endpoint(URL("http://cam.example/axis-cgi/ntp.cgi"))
    authenticator = Authenticator("auto", ROOT, secure=False)
    async with open_session() as session:
        client = NtpClient(session, endpoint, authenticator)
        with no_file_left():
            first, again = await error_of(client), await error_of(client)
    for error in (first, again):
        assert error.reason == "internal"
        assert "LimitNOFILE=" in str(error)


async def test_a_lookup_without_a_file_says_why_and_the_next_one_works() -> None:
    async with dns_server(cam=at("192.0.2.1")) as server, dns_of(server) as dns:
        seconds = 0.0
        resolver = CachingResolver(dns, lambda: seconds)
        with no_file_left(), pytest.raises(LookupFailed) as caught:
            await resolver.resolve("cam.example")
        assert caught.value.errno == errno.EMFILE
        assert str(caught.value) == "Too many open files"
        seconds = 5.0
        assert await resolver.resolve("cam.example")
