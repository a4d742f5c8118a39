"""Passwords: who is let in, what is remembered of it, and what a flood of wrong ones can do."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator

import bcrypt
import pytest

from exporter.web.web_config.basic_auth import (
    MOST_WAITING,
    MOST_WAITING_OF_ONE_ADDRESS,
    MOST_WRONG,
    Accounts,
    Checker,
    TooManyChecks,
)

PASSWORD = "pässwörd of alice".encode()
ADDRESS = "192.0.2.1"


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


class CountingChecker(Checker):
    """Takes note of the hashes that passwords are compared with; real bcrypt otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.hashes: list[bytes] = []

    async def matches(self, password: bytes, hashed: bytes) -> bool:
        self.hashes.append(hashed)
        return await super().matches(password, hashed)

    @property
    def costs(self) -> list[int]:
        return [int(each.split(b"$")[2]) for each in self.hashes]


class HeldChecker(CountingChecker):
    """Compares nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def matches(self, password: bytes, hashed: bytes) -> bool:
        await self.let_go.wait()
        return await super().matches(password, hashed)


@pytest.fixture
async def checker() -> AsyncIterator[CountingChecker]:
    made = CountingChecker()
    yield made
    made.close()


@pytest.fixture
async def held() -> AsyncIterator[HeldChecker]:
    made = HeldChecker()
    yield made
    made.let_go.set()
    made.close()


def alice(checker: Checker) -> Accounts:
    return Accounts({"alice": hashed(PASSWORD)}, checker)


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
async def test_an_accounts_name_and_password_let_in_and_nothing_else(
    name: bytes,
    password: bytes,
    admitted: bool,  # noqa: FBT001 - a column of the table
    checker: CountingChecker,
) -> None:
    accounts = alice(checker)
    for _ in range(2):
        assert await accounts.admit(name, password, ADDRESS) is admitted


@pytest.mark.parametrize("version", ["2a", "2b", "2x", "2y"])
async def test_every_spelling_of_bcrypt_is_understood(
    version: str, checker: CountingChecker
) -> None:
    accounts = Accounts({"a": hashed(b"pass").replace("2b", version, 1)}, checker)
    assert await accounts.admit(b"a", b"pass", ADDRESS)


async def test_bcrypt_sees_the_first_72_bytes_of_a_password(checker: CountingChecker) -> None:
    accounts = Accounts({"a": hashed(b"x" * 72)}, checker)
    assert await accounts.admit(b"a", b"x" * 72 + b"tail", ADDRESS)
    assert not await accounts.admit(b"a", b"x" * 71, ADDRESS)


@pytest.mark.parametrize("password", [PASSWORD, b"wrong"])
async def test_a_password_is_checked_once_right_or_wrong(
    password: bytes, checker: CountingChecker
) -> None:
    accounts = alice(checker)
    for _ in range(10):
        await accounts.admit(b"alice", password, ADDRESS)
    assert len(checker.hashes) == 1


async def test_those_who_come_at_once_with_one_password_need_one_check(
    checker: CountingChecker,
) -> None:
    accounts = alice(checker)
    visits = (accounts.admit(b"alice", PASSWORD, f"192.0.2.{n}") for n in range(20))
    assert await asyncio.gather(*visits) == [True] * 20
    assert len(checker.hashes) == 1


async def test_an_unknown_name_costs_as_much_as_a_wrong_password(
    checker: CountingChecker,
) -> None:
    hashes = {"alice": hashed(PASSWORD, 5), "bob": hashed(PASSWORD, 6)}
    accounts = Accounts(hashes, checker)
    for number in range(40):
        assert not await accounts.admit(f"nobody {number}".encode(), PASSWORD, ADDRESS)
    assert len(checker.hashes) == 40
    assert set(checker.costs) == {5, 6}
    assert not set(checker.hashes) & {each.encode() for each in hashes.values()}


async def test_an_unknown_name_costs_the_same_every_time(checker: CountingChecker) -> None:
    hashes = {"alice": hashed(PASSWORD, 5), "bob": hashed(PASSWORD, 6)}
    for number in range(10):
        after_a_restart = Accounts(hashes, checker)
        await after_a_restart.admit(b"nobody", f"guess {number}".encode(), ADDRESS)
    assert len(set(checker.hashes)) == 1
    assert len(checker.hashes) == 10


async def test_what_is_remembered_of_wrong_passwords_is_bounded(
    checker: CountingChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(_password: bytes, _hashed: bytes) -> bool:
        return False

    monkeypatch.setattr(checker, "matches", no)
    accounts = alice(checker)
    for number in range(3 * MOST_WRONG):
        await accounts.admit(f"user {number}".encode(), b"guess", ADDRESS)
    assert len(accounts._wrong) == MOST_WRONG
    assert accounts._right == {}


async def test_no_flood_of_wrong_passwords_drives_out_a_right_one(
    checker: CountingChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = alice(checker)
    assert await accounts.admit(b"alice", PASSWORD, ADDRESS)

    async def no(_password: bytes, _hashed: bytes) -> bool:
        return False

    monkeypatch.setattr(checker, "matches", no)
    for number in range(2 * MOST_WRONG):
        await accounts.admit(b"alice", f"guess {number}".encode(), ADDRESS)
    assert await accounts.admit(b"alice", PASSWORD, ADDRESS)


async def test_no_plain_password_is_kept(checker: CountingChecker) -> None:
    accounts = alice(checker)
    await accounts.admit(b"alice", PASSWORD, ADDRESS)
    await accounts.admit(b"alice", b"wrong password", ADDRESS)
    kept = [accounts._right, accounts._wrong, vars(accounts), vars(checker)]
    shown = repr([kept, gc.get_referents(*kept)])
    assert repr(PASSWORD)[2:-1] not in shown
    assert "wrong password" not in shown


async def test_digests_of_one_password_differ_from_run_to_run(checker: CountingChecker) -> None:
    kept = set()
    for _ in range(2):
        accounts = alice(checker)
        await accounts.admit(b"alice", PASSWORD, ADDRESS)
        kept |= set(accounts._right.values())
    assert len(kept) == 2


async def until(waiting: Checker, count: int) -> None:
    async with asyncio.timeout(30):
        while waiting._waiting.total() < count:
            await asyncio.sleep(0)


async def test_one_address_has_few_places_in_the_queue_and_leaves_the_others_theirs(
    held: HeldChecker,
) -> None:
    accounts = alice(held)
    flood = [
        asyncio.create_task(accounts.admit(b"alice", b"%d" % number, ADDRESS))
        for number in range(100)
    ]
    await until(held, MOST_WAITING_OF_ONE_ADDRESS)
    other = asyncio.create_task(accounts.admit(b"alice", PASSWORD, "192.0.2.2"))
    await until(held, MOST_WAITING_OF_ONE_ADDRESS + 1)
    held.let_go.set()
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert answers.count(False) == MOST_WAITING_OF_ONE_ADDRESS
    assert sum(isinstance(answer, TooManyChecks) for answer in answers) == 96
    assert await other is True
    assert not held._waiting


async def test_all_addresses_together_have_a_bounded_queue(held: HeldChecker) -> None:
    accounts = alice(held)
    flood = [
        asyncio.create_task(accounts.admit(b"alice", b"%d" % number, f"192.0.2.{number}"))
        for number in range(MOST_WAITING)
    ]
    await until(held, MOST_WAITING)
    with pytest.raises(TooManyChecks):
        await accounts.admit(b"alice", b"one more", "192.0.2.200")
    held.let_go.set()
    assert set(await asyncio.gather(*flood)) == {False}


async def test_who_is_known_waits_for_nobody(held: HeldChecker) -> None:
    held.let_go.set()
    accounts = alice(held)
    assert await accounts.admit(b"alice", PASSWORD, ADDRESS)
    held.let_go.clear()
    flood = [
        asyncio.create_task(accounts.admit(b"alice", b"%d" % number, ADDRESS))
        for number in range(20)
    ]
    await until(held, MOST_WAITING_OF_ONE_ADDRESS)
    assert await accounts.admit(b"alice", PASSWORD, ADDRESS)
    held.let_go.set()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_a_check_does_not_hold_up_the_event_loop(checker: CountingChecker) -> None:
    accounts = Accounts({"alice": hashed(PASSWORD, 12)}, checker)
    check = asyncio.create_task(accounts.admit(b"alice", PASSWORD, ADDRESS))
    turns, started = 0, time.monotonic()
    while not check.done():
        await asyncio.sleep(0.001)
        turns += 1
    # A loop that is held up turns once or twice in all.
    assert turns > (time.monotonic() - started) / 0.001 / 20
    assert turns > 10


async def test_at_the_end_whoever_waits_is_sent_away(held: HeldChecker) -> None:
    accounts = alice(held)
    visits = [
        asyncio.create_task(accounts.admit(b"alice", b"%d" % number, ADDRESS))
        for number in range(MOST_WAITING_OF_ONE_ADDRESS)
    ]
    await until(held, MOST_WAITING_OF_ONE_ADDRESS)
    visits[0].cancel()
    held.close()
    answers = await asyncio.gather(*visits[1:], return_exceptions=True)
    assert [type(answer) for answer in answers] == [TooManyChecks] * 3
    assert held.hashes == []


async def test_a_visit_that_is_given_up_leaves_its_place(held: HeldChecker) -> None:
    accounts = alice(held)
    visit = asyncio.create_task(accounts.admit(b"alice", PASSWORD, ADDRESS))
    await until(held, 1)
    visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit
    assert not held._waiting
