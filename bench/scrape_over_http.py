"""A scrape of ten thousand devices over HTTP, against prometheus-client's own HTTP server.

The daemon polls a simulated fleet meanwhile. prometheus-client's server, a process of its own,
serves the same series, made beforehand from a scrape of the daemon. Both run on one core, the
client and the devices on another.
"""

from __future__ import annotations

import gzip
import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

from bench.programs import daemon, on_core, polled_every, simulated_fleet, wait_for_first_polls
from bench.table import Row
from tests.support.programs import LOOPBACK, free_port, running

DEVICES: Final = 10_000
INTERVAL: Final = "60s"
LEAST_SPEEDUP: Final = {"plain": 15.0, "gzip": 10.0}
_NETWORK: Final = 50
_ROUNDS: Final = {"plain": 9, "gzip": 3}
_ENCODINGS: Final = {"plain": "identity", "gzip": "gzip"}
_CHUNK_BYTES: Final = 1 << 20
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def rows() -> Iterator[Row]:
    """Yield how many times faster a scrape of the daemon is."""
    with (
        TemporaryDirectory() as name,
        simulated_fleet(DEVICES, Path(name), _NETWORK) as fleet,
        daemon(polled_every(fleet, INTERVAL), Path(name) / "daemon") as measured,
    ):
        wait_for_first_polls(measured, within_seconds=120)
        ours = measured.daemon.port
        series = Path(name) / "series.txt"
        series.write_bytes(_body(_scrape(ours, "identity")))
        with _reference_server(series) as theirs:
            for kind, rounds in _ROUNDS.items():
                yield _speedup(ours, theirs, kind, rounds)


def _speedup(ours: int, theirs: int, kind: str, rounds: int) -> Row:
    encoding = _ENCODINGS[kind]
    _require_equal(_scrape(ours, encoding), _scrape(theirs, encoding))
    pairs = [(_seconds(ours, encoding), _seconds(theirs, encoding)) for _ in range(rounds)]
    ours_ms, theirs_ms = (1e3 * median(side) for side in zip(*pairs, strict=True))
    factor = median(their / our for our, their in pairs)
    note = f"{ours_ms:.0f} ms, theirs {theirs_ms:,.0f} ms, medians of {rounds}"
    what = (
        f"`/metrics` of {DEVICES:,} devices over HTTP, {kind}, against prometheus-client's server"
    )
    least = LEAST_SPEEDUP[kind]
    return Row(what, f"{factor:.1f} x ({note})", f"≥ {least:g} x", factor >= least)


def _seconds(port: int, encoding: str) -> float:
    before = time.perf_counter()
    _scrape(port, encoding)
    return time.perf_counter() - before


def _scrape(port: int, encoding: str) -> bytes:
    """Return a whole response, head and framing included; reading it costs little."""
    asked = f"GET /metrics HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n"
    received = bytearray()
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(f"{asked}Accept-Encoding: {encoding}\r\n\r\n".encode())
        while chunk := connection.recv(_CHUNK_BYTES):
            received += chunk
    return bytes(received)


def _body(response: bytes) -> bytes:
    """Return the body of a response, without its chunks' framing and decompressed."""
    head, _, rest = response.partition(b"\r\n\r\n")
    body = b"".join(_chunks(rest)) if b"chunked" in head.lower() else rest
    return gzip.decompress(body) if b"content-encoding: gzip" in head.lower() else body


def _chunks(framed: bytes) -> Iterator[bytes]:
    start = 0
    while True:
        end = framed.index(b"\r\n", start)
        size = int(framed[start:end], 16)
        if not size:
            return
        yield framed[end + 2 : end + 2 + size]
        start = end + 2 + size + 2


def _require_equal(ours: bytes, theirs: bytes) -> None:
    counts = [_body(response).count(b"\naxis_ntp_up{") for response in (ours, theirs)]
    if counts != [DEVICES, DEVICES]:
        raise RuntimeError(f"{counts[0]} devices against {counts[1]}, of {DEVICES}")


class _Ready(Collector):
    """Families that were made beforehand."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        """Return the families."""
        return self._families


@contextmanager
def _reference_server(series: Path) -> Iterator[int]:
    """Run prometheus-client's HTTP server on these series; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.scrape_over_http", str(series), str(port)]
    with (
        on_core(0),
        running(command, series.with_suffix(".log"), lambda program: "ready" in program.log()),
    ):
        yield port


def _families(text: str) -> Iterator[Metric]:
    """Parse a scrape without escaped labels, much faster than prometheus-client does."""
    for family in text.split("# HELP ")[1:]:
        head, kind, *samples = family.splitlines()
        name, _, documentation = head.partition(" ")
        metric = Metric(name.removesuffix("_total"), documentation, kind.rpartition(" ")[2])
        for sample in samples:
            series, _, value = sample.rpartition(" ")
            name, _, labels = series.partition("{")
            metric.add_sample(name, dict(_LABEL.findall(labels)), float(value))
        yield metric


def _serve(series: Path, port: int) -> None:
    registry = CollectorRegistry()
    registry.register(_Ready(_families(series.read_text())))
    start_http_server(port, LOOPBACK, registry)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
