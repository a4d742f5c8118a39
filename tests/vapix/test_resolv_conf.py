"""A change of resolv.conf and hosts is noticed where they are bind mounts or symlinks.

c-ares reads the files in /etc only, so each test has an /etc of its own: a mount namespace.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.vapix.dns_server import at, dns_server

ROOT = Path(__file__).parents[2]
OLD, NEW = "192.0.2.1", "192.0.2.2"

LOOK_UP = """
import asyncio, socket, sys
from exporter.vapix import dns

dns.FILES_INTERVAL_SECONDS = float(sys.argv[1])

async def main():
    ares = dns.AresDns()
    for line in sys.stdin:
        try:
            found = await ares.look_up("cam.example", socket.AF_INET)
            print(found.addresses[0][0], flush=True)
        except dns.LookupFailed:
            print("failed", flush=True)
    await ares.close()

asyncio.run(main())
"""

OWN_ETC = """
set -e
cd "$1"
mkdir etc
cp /etc/nsswitch.conf etc/ 2>/dev/null || true
for file in resolv.conf hosts; do
    case $2 in
        mount) : > etc/$file; mount --bind run/$file etc/$file ;;
        *) ln -s "$1/data/$file" etc/$file ;;
    esac
done
mount --rbind etc /etc
cd "$3"
shift 3
exec "$@"
"""


def has_namespaces() -> bool:
    try:
        tried = ["unshare", "-rm", "mount", "--bind", "/etc", "/etc"]
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not has_namespaces(), reason="no mount namespaces here")


class Etc:
    """The targets of /etc/resolv.conf and /etc/hosts: files in `FOLDER/run`, also `FOLDER/data`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir()
        (folder / "data").symlink_to("run")
        self.write("hosts", "127.0.0.1 localhost\n")

    def write(self, file: str, text: str, *, folder: str = "run") -> None:
        """Write in place, as a bind-mounted file can only be written."""
        (self.folder / folder / file).write_text(text)

    def name_server(self, address: str, *, folder: str = "run") -> None:
        self.write("resolv.conf", f"nameserver {address}\n", folder=folder)

    def replace(self, address: str) -> None:
        """Have the symlinks point into another folder, as Kubernetes updates mounted files."""
        (self.folder / "other").mkdir()
        self.write("hosts", "127.0.0.1 localhost\n", folder="other")
        self.name_server(address, folder="other")
        (self.folder / "next").symlink_to("other")
        (self.folder / "next").replace(self.folder / "data")


class Lookups:
    """A process that looks up cam.example with the exporter's DNS client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"\n")
        async with asyncio.timeout(30):
            return (await stdout.readline()).decode().strip()

    async def until(self, address: str) -> None:
        async with asyncio.timeout(30):
            while await self.next() != address:
                pass


@asynccontextmanager
async def lookups(etc: Etc, kind: str, interval_seconds: float = 0) -> AsyncIterator[Lookups]:
    """Run the process with a `mount` or a `symlink` for each file."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", OWN_ETC, "sh", str(etc.folder), kind, str(ROOT)),
        *(sys.executable, "-c", LOOK_UP, str(interval_seconds)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Lookups(process)
    finally:
        await process.communicate(b"")  # without it, its input stays open
    assert process.returncode == 0


@pytest.mark.parametrize("kind", ["mount", "symlink"])
async def test_a_name_server_that_is_written_in_place_is_used(kind: str, tmp_path: Path) -> None:
    etc = Etc(tmp_path)
    async with dns_server(cam=at(OLD)) as old, dns_server(cam=at(NEW)) as new:
        etc.name_server(old.address)
        async with lookups(etc, kind) as process:
            assert await process.next() == OLD
            etc.name_server(new.address)
            await process.until(NEW)


async def test_a_name_server_behind_a_replaced_symlink_is_used(tmp_path: Path) -> None:
    etc = Etc(tmp_path)
    async with dns_server(cam=at(OLD)) as old, dns_server(cam=at(NEW)) as new:
        etc.name_server(old.address)
        async with lookups(etc, "symlink") as process:
            assert await process.next() == OLD
            etc.replace(new.address)
            await process.until(NEW)


@pytest.mark.parametrize("kind", ["mount", "symlink"])
async def test_a_hosts_file_with_an_old_timestamp_is_used(kind: str, tmp_path: Path) -> None:
    etc = Etc(tmp_path)
    async with dns_server(cam=at(OLD)) as server:
        etc.name_server(server.address)
        async with lookups(etc, kind) as process:
            assert await process.next() == OLD
            etc.write("hosts", f"{NEW} cam.example\n")
            os.utime(tmp_path / "run/hosts", (0, 0))  # as `cp -p` of an old file
            await process.until(NEW)


async def test_the_files_are_not_read_at_every_lookup(tmp_path: Path) -> None:
    etc = Etc(tmp_path)
    async with dns_server(cam=at(OLD)) as old, dns_server(cam=at(NEW)) as new:
        etc.name_server(old.address)
        async with lookups(etc, "mount", interval_seconds=3600) as process:
            assert await process.next() == OLD
            etc.name_server(new.address)
            assert [await process.next() for _ in range(3)] == [OLD] * 3


@pytest.mark.parametrize("kind", ["absent", "a pipe"])
async def test_a_file_that_cannot_be_read_changes_nothing(kind: str, tmp_path: Path) -> None:
    etc = Etc(tmp_path)
    file = tmp_path / "run/resolv.conf"
    async with dns_server(cam=at(OLD)) as old, dns_server(cam=at(NEW)) as new:
        etc.name_server(old.address)
        async with lookups(etc, "symlink") as process:
            assert await process.next() == OLD
            file.unlink()
            if kind == "a pipe":
                os.mkfifo(file)
            assert [await process.next() for _ in range(3)] == [OLD] * 3
            file.unlink(missing_ok=True)
            etc.name_server(new.address)
            await process.until(NEW)
