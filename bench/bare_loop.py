"""The minimum cost of polling: aiohttp, one task per device, nothing kept, nothing exported.

    python -m bench.bare_loop CONFIG WARM_UP_SECONDS SECONDS

polls every device of an exporter's config once per interval, with Digest over HTTP or Basic over
HTTPS, reads the JSON, and prints the CPU microseconds per poll during those seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import re
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
import yaml

from exporter.system.text import parse_duration

_PATH = "/axis-cgi/ntp.cgi"
_PAIR = re.compile(r'(\w+)="([^"]*)"')
_REQUEST = {"apiVersion": "1.0", "method": "getNTPInfo"}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class BareLoop:
    """Polls until it is cancelled; `polls` counts the polls."""

    def __init__(self, config: dict[str, Any]) -> None:
        module = config["modules"]["default"]
        self.scheme = module["scheme"]
        self.account = (module["auth"]["username"], module["auth"]["password"])
        self.addresses = [device["address"] for device in config["devices"]]
        self.interval_seconds = parse_duration(config["global"]["interval"])
        self.polls = 0

    async def run(self) -> None:
        """Poll every device until cancelled."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._watch(session, each) for each in self.addresses))

    async def _watch(self, session: aiohttp.ClientSession, address: str) -> None:
        url = f"{self.scheme}://{address}{_PATH}"
        authorize = await self._authorization(session, url)
        loop = asyncio.get_running_loop()
        due = loop.time() + random.uniform(0, self.interval_seconds)  # noqa: S311 - a spread
        while True:
            await asyncio.sleep(due - loop.time())
            headers = {"Authorization": authorize()}
            async with session.post(url, json=_REQUEST, headers=headers) as response:
                response.raise_for_status()
                await response.json()
            self.polls += 1
            due += self.interval_seconds

    async def _authorization(self, session: aiohttp.ClientSession, url: str) -> Callable[[], str]:
        """Return a function that makes the header of each request, with a minimal Digest."""
        user, password = self.account
        if self.scheme == "https":
            basic = aiohttp.encode_basic_auth(user, password)
            return lambda: basic
        async with session.post(url, json=_REQUEST) as rejection:
            challenge = dict(_PAIR.findall(rejection.headers["WWW-Authenticate"]))
        realm, nonce = challenge["realm"], challenge["nonce"]
        secret, what = _md5(f"{user}:{realm}:{password}"), _md5(f"POST:{_PATH}")
        counter = itertools.count(1)

        def header() -> str:
            count = f"{next(counter):08x}"
            response = _md5(f"{secret}:{nonce}:{count}:bench:auth:{what}")
            return (
                f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{_PATH}", '
                f'qop=auth, nc={count}, cnonce="bench", response="{response}"'
            )

        return header


async def measure(config: dict[str, Any], warm_up_seconds: float, seconds: float) -> None:
    """Poll, and print the CPU microseconds per poll."""
    loop = BareLoop(config)
    polling = asyncio.create_task(loop.run())
    await asyncio.sleep(warm_up_seconds)
    polls, cpu_seconds = loop.polls, time.process_time()
    await asyncio.sleep(seconds)
    print((time.process_time() - cpu_seconds) / (loop.polls - polls) * 1e6)
    polling.cancel()


if __name__ == "__main__":
    uvloop.run(measure(yaml.safe_load(Path(sys.argv[1]).read_text()), *map(float, sys.argv[2:4])))
