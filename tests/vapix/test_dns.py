"""c-ares with a DNS server on a real socket: addresses, TTLs, and no thread for each name."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Final

import pytest

from exporter.system.files import Digests
from exporter.vapix import dns as dns_module
from exporter.vapix.dns import LOOKUP_TIMEOUT_SECONDS, CachingResolver, DnsAnswer, LookupFailed
from tests.vapix.dns_server import (
    AAAA,
    CNAME,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    SILENCE,
    A,
    Record,
    Reply,
    at,
    dns_of,
    dns_server,
)

ANY: Final = socket.AF_UNSPEC


async def test_both_families_are_found_and_the_lower_ttl_counts() -> None:
    both = Reply((Record(A, "192.0.2.1", 60), Record(AAAA, "2001:db8::1", 30)))
    async with dns_server(cam=both) as server, dns_of(server) as dns:
        answer = await dns.look_up("cam.example", ANY)
    assert set(answer.addresses) == {
        ("192.0.2.1", socket.AF_INET),
        ("2001:db8::1", socket.AF_INET6),
    }
    assert answer.ttl_seconds == 30


async def test_an_alias_with_a_lower_ttl_than_its_address_sets_the_ttl() -> None:
    alias = Reply((Record(CNAME, "real.example", 20), Record(A, "192.0.2.1", 60)))
    async with dns_server(cam=alias) as server, dns_of(server) as dns:
        answer = await dns.look_up("cam.example", socket.AF_INET)
    assert answer == DnsAnswer((("192.0.2.1", socket.AF_INET),), 20)


async def test_only_the_requested_family_is_looked_up() -> None:
    async with dns_server(cam=at("192.0.2.1", "2001:db8::1")) as server, dns_of(server) as dns:
        answer = await dns.look_up("cam.example", socket.AF_INET6)
    assert answer.addresses == (("2001:db8::1", socket.AF_INET6),)
    assert server.asked == {("cam.example", AAAA): 1}


@pytest.mark.parametrize(
    ("code", "no_such_name", "message"),
    [
        (NXDOMAIN, True, "Domain name not found"),
        (SERVFAIL, False, "DNS server returned general failure"),
        (REFUSED, False, "DNS server refused query"),
        (0, False, "DNS server returned answer with no data"),
    ],
)
async def test_an_error_code_of_the_server_becomes_the_message(
    code: int, *, no_such_name: bool, message: str
) -> None:
    async with dns_server(cam=Reply(code=code)) as server, dns_of(server) as dns:
        with pytest.raises(LookupFailed) as caught:
            await dns.look_up("cam.example", ANY)
    assert (str(caught.value), caught.value.no_such_name) == (message, no_such_name)


async def test_a_server_that_ignores_ipv6_queries_does_not_hide_the_ipv4_address() -> None:
    half = Reply((Record(A, "192.0.2.1"),), silent_kinds=(AAAA,))
    async with dns_server(cam=half) as server, dns_of(server) as dns:
        answer = await asyncio.wait_for(dns.look_up("cam.example", ANY), LOOKUP_TIMEOUT_SECONDS)
    assert answer.addresses == (("192.0.2.1", socket.AF_INET),)


async def test_localhost_is_found_without_a_query() -> None:
    async with dns_server() as server, dns_of(server) as dns:
        answer = await dns.look_up("localhost", ANY)
    assert ("127.0.0.1", socket.AF_INET) in answer.addresses
    assert not server.asked


def names_in_hosts_file() -> list[tuple[str, str]]:
    lines = [line.partition("#")[0].split() for line in Path("/etc/hosts").read_text().splitlines()]
    return [
        (name, line[0])
        for line in lines
        for name in line[1:]
        if "." in line[0] and "localhost" not in name
    ]


async def test_the_names_of_the_hosts_file_are_found_without_a_query() -> None:
    if not (names := names_in_hosts_file()):
        pytest.skip("/etc/hosts has no IPv4 address except localhost's")
    async with dns_server() as server, dns_of(server) as dns:
        for name, address in names:
            answer = await dns.look_up(name, socket.AF_INET)
            assert (address, socket.AF_INET) in answer.addresses
    assert not server.asked


def threads() -> int:
    """Return the number of threads that Python did not start: those of c-ares."""
    own = {each.native_id for each in enumerate_threads()}
    return len({int(each.name) for each in Path("/proc/self/task").iterdir()} - own)


async def test_a_thousand_names_at_once_are_found_without_more_threads() -> None:
    names = [f"cam{number}" for number in range(1000)]
    zone = {name: at("192.0.2.1") for name in names}
    async with dns_server(**zone) as server, dns_of(server) as dns:
        resolver = CachingResolver(dns)
        await resolver.resolve("cam0.example")
        before = threads()
        polls = [asyncio.create_task(resolver.resolve(f"{name}.example")) for name in names]
        await asyncio.sleep(0)
        during = threads()
        found = await asyncio.gather(*polls)
    assert {result["host"] for results in found for result in results} == {"192.0.2.1"}
    assert during <= before


def inotify_instances() -> int:
    """Return how many folders c-ares watches: one for each resolver that is not closed."""
    targets = []
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            targets.append(str(file.readlink()))
    return sum("inotify" in target for target in targets)


async def wait_until_closed(instances: int, of_threads: int) -> None:
    async with asyncio.timeout(10):
        # What earlier tests left may be closed meanwhile as well.
        while inotify_instances() > instances or threads() > of_threads:
            await asyncio.sleep(0.01)


async def test_a_replaced_resolver_is_closed_after_its_last_lookup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(dns_module, "FILES", (file,))
    monkeypatch.setattr(dns_module, "FILES_INTERVAL_SECONDS", 0)
    file.write_text("one")
    async with dns_server(cam=at("192.0.2.1"), dead=SILENCE) as server, dns_of(server) as dns:
        before = inotify_instances(), threads()
        waiting = asyncio.create_task(dns.look_up("dead.example", ANY))
        while not server.asked:
            await asyncio.sleep(0)
        file.write_text("two")
        await dns.look_up("cam.example", ANY)
        assert inotify_instances() == before[0] + 1
        assert not waiting.done()
        waiting.cancel()
        await wait_until_closed(*before)
        for content in range(20):
            file.write_text(str(content))
            await dns.look_up("cam.example", ANY)
        await wait_until_closed(*before)
    await wait_until_closed(before[0] - 1, before[1] - 1)


async def test_a_file_that_hangs_does_not_stop_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_module, "FILES_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(dns_module, "_FILES_TIMEOUT_SECONDS", 0.01)
    released = Event()

    def hang(_: object) -> Digests:
        released.wait()
        return {}

    async with dns_server(cam=at("192.0.2.1")) as server, dns_of(server) as dns:
        monkeypatch.setattr(dns_module, "digests", hang)
        answers = [await dns.look_up("cam.example", ANY) for _ in range(3)]
        readers = sum(thread.name == "files" for thread in enumerate_threads())
        released.set()
    assert [each.addresses[0][0] for each in answers] == ["192.0.2.1"] * 3
    assert readers == 1


async def test_closing_ends_the_lookups_of_a_replaced_resolver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(dns_module, "FILES", (file,))
    monkeypatch.setattr(dns_module, "FILES_INTERVAL_SECONDS", 0)
    async with dns_server(cam=at("192.0.2.1"), dead=SILENCE) as server:
        async with dns_of(server) as dns:
            before = inotify_instances(), threads()
            waiting = asyncio.create_task(dns.look_up("dead.example", ANY))
            while not server.asked:
                await asyncio.sleep(0)
            file.write_text("there was none")
            await dns.look_up("cam.example", ANY)
        with pytest.raises(LookupFailed, match="cancelled"):
            await waiting
    await wait_until_closed(before[0] - 1, before[1] - 1)
