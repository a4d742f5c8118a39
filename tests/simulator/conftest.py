import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from exporter.simulator.clock import SimulatedClock
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.wire import NTP_CGI, Reply, Request

START = 1_700_000_000_123_456_789


@dataclass
class ManualClock:
    """A host clock that the test advances."""

    nanoseconds: int = START

    def __call__(self) -> int:
        return self.nanoseconds

    def advance(self, seconds: float) -> None:
        self.nanoseconds += round(seconds * 1_000_000_000)


@dataclass
class Bench:
    """A device on a manual clock, without sockets."""

    host: ManualClock
    device: SimulatedDevice

    def request(self, body: bytes, **more: Any) -> Request:
        return Request(
            **{
                "method": "POST",
                "target": NTP_CGI,
                "body": body,
                "host_nanoseconds": self.host.nanoseconds,
                "content_type": "application/json",
                **more,
            }
        )

    def reply(self, body: bytes, **more: Any) -> Reply:
        return self.device.handle(self.request(body, **more))

    def ask(self, method: str = "getNTPInfo", version: str = "1.0", **more: Any) -> Any:
        return self.document({"apiVersion": version, "method": method, **more})

    def document(self, request: Any) -> Any:
        return json.loads(self.reply(json.dumps(request).encode()).body)

    def client(self) -> Any:
        return self.ask()["data"]["client"]

    def set(self, **parameters: Any) -> Any:
        return self.ask("setNTPClientConfiguration", params=parameters)


BenchMaker = Callable[..., Bench]


@pytest.fixture
def make_bench() -> BenchMaker:
    def make(*, offset_seconds: float = 0.0, drift_ppm: float = 0.0, **parts: Any) -> Bench:
        host = ManualClock()
        clock = SimulatedClock(
            offset_seconds=offset_seconds, drift_ppm=drift_ppm, host_nanoseconds=host
        )
        parts.setdefault("auth", "none")
        return Bench(host, SimulatedDevice("cam-1", clock=clock, **parts))

    return make


@pytest.fixture
def bench(make_bench: BenchMaker) -> Bench:
    return make_bench()


def nonce_microseconds(nonce: str) -> int:
    """Decode a nonce as devices encode it: 12 base64 characters, little-endian int64."""
    (microseconds,) = struct.unpack("<q", base64.b64decode(nonce[:12]))
    return int(microseconds)


def header(reply: Reply, name: str) -> str:
    (value,) = [value for key, value in reply.headers if key == name]
    return value
