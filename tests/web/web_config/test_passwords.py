"""Passwords: which are admitted, what is remembered, and what a flood of wrong ones can do."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator

import bcrypt
import pytest

from exporter.web.web_config.basic_auth import (
    MAX_WAITING,
    MAX_WAITING_PER_ADDRESS,
    MAX_WRONG,
    CheckQueue,
    TooManyChecks,
    Users,
)

PASSWORD = "pässwörd of alice".encode()
ADDRESS = "192.0.2.1"


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


class CountingQueue(CheckQueue):
    """Records the hashes that passwords are checked against; real bcrypt otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.hashes: list[bytes] = []

    async def matches(self, password: bytes, hashed: bytes) -> bool:
        self.hashes.append(hashed)
        return await super().matches(password, hashed)

    @property
    def costs(self) -> list[int]:
        return [int(each.split(b"$")[2]) for each in self.hashes]


class BlockedQueue(CountingQueue):
    """Checks nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def matches(self, password: bytes, hashed: bytes) -> bool:
        await self.released.wait()
        return await super().matches(password, hashed)


@pytest.fixture
async def queue() -> AsyncIterator[CountingQueue]:
    made = CountingQueue()
    yield made
    made.close()


@pytest.fixture
async def blocked() -> AsyncIterator[BlockedQueue]:
    made = BlockedQueue()
    yield made
    made.released.set()
    made.close()


def alice(queue: CheckQueue) -> Users:
    return Users({"alice": hashed(PASSWORD)}, queue)


@pytest.mark.parametrize(
    ("name", "password", "admitted"),
    [
        (b"alice", PASSWORD, True),
        (b"alice", PASSWORD + b"x", False),
        (b"alice", PASSWORD[:-1], False),
        (b"alice", b"", False),
        (b"Alice", PASSWORD, False),
        (b"bob", PASSWORD, False),
        (b"", PASSWORD, False),
        (b"\xff", b"\0\xff", False),
        (b"alice", b"x" * 10_000, False),
    ],
)
async def test_only_a_users_name_and_password_are_admitted(
    name: bytes,
    password: bytes,
    admitted: bool,  # noqa: FBT001 - a column of the table
    queue: CountingQueue,
) -> None:
    users = alice(queue)
    for _ in range(2):
        assert await users.admit(name, password, ADDRESS) is admitted


@pytest.mark.parametrize("version", ["2a", "2b", "2x", "2y"])
async def test_every_bcrypt_prefix_is_accepted(version: str, queue: CountingQueue) -> None:
    users = Users({"a": hashed(b"pass").replace("2b", version, 1)}, queue)
    assert await users.admit(b"a", b"pass", ADDRESS)


async def test_only_the_first_72_bytes_of_a_password_count(queue: CountingQueue) -> None:
    users = Users({"a": hashed(b"x" * 72)}, queue)
    assert await users.admit(b"a", b"x" * 72 + b"tail", ADDRESS)
    assert not await users.admit(b"a", b"x" * 71, ADDRESS)


@pytest.mark.parametrize("password", [PASSWORD, b"wrong"])
async def test_a_password_is_checked_once_right_or_wrong(
    password: bytes, queue: CountingQueue
) -> None:
    users = alice(queue)
    for _ in range(10):
        await users.admit(b"alice", password, ADDRESS)
    assert len(queue.hashes) == 1


async def test_concurrent_requests_with_one_password_need_one_check(
    queue: CountingQueue,
) -> None:
    users = alice(queue)
    requests = (users.admit(b"alice", PASSWORD, f"192.0.2.{n}") for n in range(20))
    assert await asyncio.gather(*requests) == [True] * 20
    assert len(queue.hashes) == 1


async def test_an_unknown_name_costs_as_much_as_a_wrong_password(
    queue: CountingQueue,
) -> None:
    hashes = {"alice": hashed(PASSWORD, 5), "bob": hashed(PASSWORD, 6)}
    users = Users(hashes, queue)
    for number in range(40):
        assert not await users.admit(f"nobody {number}".encode(), PASSWORD, ADDRESS)
    assert len(queue.hashes) == 40
    assert set(queue.costs) == {5, 6}
    assert not set(queue.hashes) & {each.encode() for each in hashes.values()}


async def test_an_unknown_name_costs_the_same_every_time(queue: CountingQueue) -> None:
    hashes = {"alice": hashed(PASSWORD, 5), "bob": hashed(PASSWORD, 6)}
    for number in range(10):
        after_a_restart = Users(hashes, queue)
        await after_a_restart.admit(b"nobody", f"guess {number}".encode(), ADDRESS)
    assert len(set(queue.hashes)) == 1
    assert len(queue.hashes) == 10


async def test_the_memory_for_wrong_passwords_is_bounded(
    queue: CountingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(_password: bytes, _hashed: bytes) -> bool:
        return False

    monkeypatch.setattr(queue, "matches", no)
    users = alice(queue)
    for number in range(3 * MAX_WRONG):
        await users.admit(f"user {number}".encode(), b"guess", ADDRESS)
    assert len(users._results) == MAX_WRONG
    assert not any(users._results.values())


async def test_a_flood_of_wrong_passwords_does_not_evict_a_right_one(
    queue: CountingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = alice(queue)
    assert await users.admit(b"alice", PASSWORD, ADDRESS)

    async def no(_password: bytes, _hashed: bytes) -> bool:
        return False

    monkeypatch.setattr(queue, "matches", no)
    for number in range(2 * MAX_WRONG):
        await users.admit(b"alice", f"guess {number}".encode(), ADDRESS)
    assert await users.admit(b"alice", PASSWORD, ADDRESS)


async def test_no_plain_password_is_stored(queue: CountingQueue) -> None:
    users = alice(queue)
    await users.admit(b"alice", PASSWORD, ADDRESS)
    await users.admit(b"alice", b"wrong password", ADDRESS)
    kept = [users._results, vars(users), vars(queue)]
    shown = repr([kept, gc.get_referents(*kept)])
    assert repr(PASSWORD)[2:-1] not in shown
    assert "wrong password" not in shown


async def test_digests_of_a_password_differ_from_run_to_run(queue: CountingQueue) -> None:
    kept = set()
    for _ in range(2):
        users = alice(queue)
        await users.admit(b"alice", PASSWORD, ADDRESS)
        kept |= set(users._results)
    assert len(kept) == 2


async def until(waiting: CheckQueue, count: int) -> None:
    async with asyncio.timeout(30):
        while waiting._waiting.total() < count:
            await asyncio.sleep(0)


async def test_one_address_has_few_places_in_the_queue_and_the_rest_stay_free(
    blocked: BlockedQueue,
) -> None:
    users = alice(blocked)
    flood = [
        asyncio.create_task(users.admit(b"alice", b"%d" % number, ADDRESS)) for number in range(100)
    ]
    await until(blocked, MAX_WAITING_PER_ADDRESS)
    other = asyncio.create_task(users.admit(b"alice", PASSWORD, "192.0.2.2"))
    await until(blocked, MAX_WAITING_PER_ADDRESS + 1)
    blocked.released.set()
    results = await asyncio.gather(*flood, return_exceptions=True)
    assert results.count(False) == MAX_WAITING_PER_ADDRESS
    assert sum(isinstance(result, TooManyChecks) for result in results) == 96
    assert await other is True
    assert not blocked._waiting


async def test_all_addresses_together_have_a_bounded_queue(blocked: BlockedQueue) -> None:
    users = alice(blocked)
    flood = [
        asyncio.create_task(users.admit(b"alice", b"%d" % number, f"192.0.2.{number}"))
        for number in range(MAX_WAITING)
    ]
    await until(blocked, MAX_WAITING)
    with pytest.raises(TooManyChecks):
        await users.admit(b"alice", b"one more", "192.0.2.200")
    blocked.released.set()
    assert set(await asyncio.gather(*flood)) == {False}


async def test_a_known_user_does_not_wait(blocked: BlockedQueue) -> None:
    blocked.released.set()
    users = alice(blocked)
    assert await users.admit(b"alice", PASSWORD, ADDRESS)
    blocked.released.clear()
    flood = [
        asyncio.create_task(users.admit(b"alice", b"%d" % number, ADDRESS)) for number in range(20)
    ]
    await until(blocked, MAX_WAITING_PER_ADDRESS)
    assert await users.admit(b"alice", PASSWORD, ADDRESS)
    blocked.released.set()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_a_check_does_not_block_the_event_loop(queue: CountingQueue) -> None:
    users = Users({"alice": hashed(PASSWORD, 12)}, queue)
    check = asyncio.create_task(users.admit(b"alice", PASSWORD, ADDRESS))
    turns, started = 0, time.monotonic()
    while not check.done():
        await asyncio.sleep(0.001)
        turns += 1
    # A blocked loop turns only once or twice.
    assert turns > (time.monotonic() - started) / 0.001 / 20
    assert turns > 10


async def test_at_shutdown_waiting_requests_are_turned_away(blocked: BlockedQueue) -> None:
    users = alice(blocked)
    requests = [
        asyncio.create_task(users.admit(b"alice", b"%d" % number, ADDRESS))
        for number in range(MAX_WAITING_PER_ADDRESS)
    ]
    await until(blocked, MAX_WAITING_PER_ADDRESS)
    requests[0].cancel()
    blocked.close()
    results = await asyncio.gather(*requests[1:], return_exceptions=True)
    assert [type(result) for result in results] == [TooManyChecks] * 3
    assert blocked.hashes == []


async def test_no_password_is_checked_for_a_client_that_has_left(blocked: BlockedQueue) -> None:
    users, gone = alice(blocked), False
    requests = [
        asyncio.create_task(users.admit(b"alice", b"%d" % number, ADDRESS, lambda: gone))
        for number in range(MAX_WAITING_PER_ADDRESS)
    ]
    await until(blocked, MAX_WAITING_PER_ADDRESS)
    gone = True
    blocked.released.set()
    results = await asyncio.gather(*requests, return_exceptions=True)
    assert results[0] is False
    assert [type(result) for result in results[1:]] == [TooManyChecks] * 3


async def test_a_cancelled_request_leaves_the_queue(blocked: BlockedQueue) -> None:
    users = alice(blocked)
    request = asyncio.create_task(users.admit(b"alice", PASSWORD, ADDRESS))
    await until(blocked, 1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert not blocked._waiting
