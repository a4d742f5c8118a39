"""A process without a free file number cannot connect: that is not the device's fault."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from tests.vapix.raw_device import at_once, client_of, error_of, servers_max


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
