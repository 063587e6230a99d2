"""sqlite: the ledger in a file, under the rules of all ledgers; broken, and killed in mid-write."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from ledger_rules import NOW, LedgerRules, new_entry, outcome

from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker import Claimed, ClaimOutcome, EntryError, LedgerError, SQLiteLedger
from aioecs.worker._ledgers import sqlite as module
from aioecs.worker._ledgers.claims import RETENTION, decide_claim
from tests.worker.processes import claim_until_killed

LETTERS = "somebody's letters, which are longer than the header of SQLite" * 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file."""
    return tmp_path / "jobs.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SQLiteLedger]:
    """Open one with nothing in it."""
    async with SQLiteLedger(path, busy=0.02) as ledger:
        yield ledger


class TestRules(LedgerRules):
    """Those of all ledgers."""


async def test_what_can_t_come_again_is_forgotten(ledger: SQLiteLedger) -> None:
    """By the claims, once in an hour; a job that is claimed is looked at by itself; or on request."""
    late = NOW + RETENTION + 1
    assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED
    assert await outcome(ledger, new_entry(key="other")) is ClaimOutcome.GRANTED
    assert await outcome(ledger, new_entry("b", begun=late, lease=late + 100), late) is ClaimOutcome.GRANTED
    assert await ledger.purge(now=late) == 0, "the claim has purged the other"
    assert await outcome(ledger, new_entry("c", key="third", begun=NOW - 1), late + 1) is ClaimOutcome.GRANTED
    assert await outcome(ledger, new_entry("d", key="third", begun=late), late + 2) is ClaimOutcome.GRANTED, "too old"
    assert await ledger.purge(now=late + RETENTION + 1) == 2


async def test_it_is_there_for_whoever_comes_after(path: Path) -> None:
    """What was written outlives the ledger; a closed ledger raises an error."""
    first, second = SQLiteLedger(path), SQLiteLedger(str(path))
    async with first:
        assert repr(first) == f"<aioecs.worker.SQLiteLedger {path}, open>"
        await first.claim(new_entry(), now=NOW, skew=5)
    assert repr(first) == f"<aioecs.worker.SQLiteLedger {path}, closed>"
    with pytest.raises(ClientStateError, match="isn't open"):
        await outcome(first, new_entry())
    async with second:
        assert await outcome(second, new_entry("b")) is ClaimOutcome.HELD


async def test_left_unused_it_leaves_no_file(path: Path) -> None:
    """It is opened when something is asked of it."""
    async with SQLiteLedger(path):
        pass
    assert not await anyio.Path(path).exists()


# What goes wrong -----------------------------------------------------------------------------------------------------


async def test_a_place_that_isn_t_there(tmp_path: Path) -> None:
    """It raises LedgerError, and recovers by itself."""
    async with SQLiteLedger(tmp_path / "absent" / "jobs.db") as ledger:
        with pytest.raises(LedgerError, match="unable to open"):
            await outcome(ledger, new_entry())
        (tmp_path / "absent").mkdir()
        assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED


async def test_a_file_that_is_no_ledger(ledger: SQLiteLedger, path: Path) -> None:
    """It is left as it is; with that out of the way it goes on."""
    file = anyio.Path(path)
    await file.write_text(LETTERS)
    with pytest.raises(LedgerError, match="not a database"):
        await outcome(ledger, new_entry())
    assert await file.read_text() == LETTERS
    await file.unlink()
    assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED


async def test_another_s_write_is_waited_for_so_long(ledger: SQLiteLedger, path: Path) -> None:
    """Then the ledger can't be reached; once the other is done it can."""
    assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked"):
            await ledger.settle("job", "a", ("arn",))
        other.execute("ROLLBACK")
    assert await ledger.settle("job", "a", ("arn",))


STRANGERS = [
    ("instances", "no JSON", "instances is no JSON"),
    ("instances", "[" * 100_000, "instances is no JSON"),
    ("instances", '{"a": 1}', "instances is no list of strings"),
    ("instances", "[1]", "instances is no list of strings"),
    ("arns", "7", "arns is no list of strings"),
    ("arns", b"\x80", "arns is a bytes"),
    ("lease", "soon", "lease is no number of seconds"),
    ("lease", float("inf"), "lease is no number of seconds"),
    ("begun", b"", "begun is no number of seconds"),
    ("holder", b"a", "holder is a bytes"),
    ("fingerprint", b"\xff", "fingerprint is a bytes"),
]


@pytest.mark.parametrize(("member", "held", "expected"), STRANGERS)
async def test_a_stranger_s_row_is_named_and_holds_nobody_up(
    ledger: SQLiteLedger, path: Path, member: str, held: object, expected: str
) -> None:
    """It is EntryError, with its key; its transaction is ended, and the other jobs are there as before."""
    await ledger.claim(new_entry(), now=NOW, skew=5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"UPDATE jobs SET {member} = ?", (held,))  # noqa: S608 a member's name
    asked: list[Awaitable[object]] = [outcome(ledger, new_entry("b")), ledger.settle("job", "a", ("arn",))]
    for each in asked:
        with pytest.raises(EntryError, match=f"something else under the key 'job': {expected}"):
            await each
    assert await outcome(ledger, new_entry(key="other")) is ClaimOutcome.GRANTED
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody holds the lock


async def test_text_that_is_no_utf_8_is_a_stranger_s(ledger: SQLiteLedger, path: Path) -> None:
    """It can't be written again, so the row is left as it is."""
    await ledger.claim(new_entry(), now=NOW, skew=5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE jobs SET holder = 'x', fingerprint = CAST(x'66' AS TEXT), arns = CAST(x'ff' AS TEXT)")
    with pytest.raises(EntryError, match="arns is no JSON"):
        await outcome(ledger, new_entry("b"), NOW + 500)


@pytest.mark.parametrize("key", ["\ud800", "job \udfff"])
async def test_a_key_that_no_file_can_hold_is_the_job_s_fault(ledger: SQLiteLedger, key: str) -> None:
    """It is an EntryError without a worker too; the ledger works on."""
    with pytest.raises(EntryError, match="can't hold a job"):
        await outcome(ledger, new_entry(key=key))
    assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED


async def test_it_may_be_left_and_entered_again(path: Path) -> None:
    """Many times, with work under way as it is left: nothing is lost, and no thread meets another's connection."""
    ledger = SQLiteLedger(path)
    loop = asyncio.get_running_loop()
    for number in range(30):
        async with ledger:
            late = loop.create_task(outcome(ledger, new_entry(key=str(number))))
            await asyncio.sleep(0)
        async with ledger:
            again = await outcome(ledger, new_entry("b", key=str(number)))
        assert {again, await late} == {ClaimOutcome.GRANTED, ClaimOutcome.HELD}


def test_it_may_be_entered_on_one_loop_after_the_other(path: Path) -> None:
    """As by a worker that is run twice."""
    ledger = SQLiteLedger(path)

    async def enter() -> ClaimOutcome:
        async with ledger:
            return await outcome(ledger, new_entry("b"))

    assert [asyncio.run(enter()), asyncio.run(enter())] == [ClaimOutcome.GRANTED, ClaimOutcome.GRANTED]


def test_nobody_else_may_read_it(path: Path) -> None:
    """The file and those beside it are their owner's alone; a file that is there keeps the mode that it has."""

    def mode(file: Path) -> int:
        return stat.S_IMODE(file.stat().st_mode)

    async def claims() -> None:
        async with SQLiteLedger(path) as ledger:
            await outcome(ledger, new_entry())
            modes.append({file.name: mode(file) for file in path.parent.iterdir()})

    modes: list[dict[str, int]] = []
    old = os.umask(0o022)
    try:
        asyncio.run(claims())
        assert modes == [{"jobs.db": 0o600, "jobs.db-wal": 0o600, "jobs.db-shm": 0o600}]
        path.chmod(0o640)
        asyncio.run(claims())
        assert mode(path) == 0o640
    finally:
        os.umask(old)


@pytest.mark.parametrize("path", [":memory:", "", Path()])
def test_a_ledger_in_memory_is_another_one(path: str | Path) -> None:
    """SQLite's would end with its connection, and so would each intent."""
    with pytest.raises(InvalidRequest, match=r"path: a file: .* use MemoryLedger"):
        SQLiteLedger(path)


async def test_a_transaction_that_sqlite_itself_has_ended(ledger: SQLiteLedger) -> None:
    """As it does on a full disk: nothing is written, and the ledger goes on with a connection of its own."""

    def ended(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM jobs")
        connection.execute("ROLLBACK")

    await ledger.claim(new_entry(), now=NOW, skew=5)
    with pytest.raises(LedgerError, match="no transaction is active"):
        await ledger._do(ended)
    assert await outcome(ledger, new_entry("b")) is ClaimOutcome.HELD


async def test_a_cancelled_claim_is_written_as_a_whole(ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has begun in the ledger's thread it goes through, and stands there until its lease ends."""
    begun, gate, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def slowly(*what: Any) -> Claimed:
        loop.call_soon_threadsafe(begun.set)
        gate.wait(10)
        return decide_claim(*what)

    monkeypatch.setattr(module, "decide_claim", slowly)
    claim = asyncio.create_task(outcome(ledger, new_entry()))
    await begun.wait()
    claim.cancel()
    await asyncio.wait([claim])
    gate.set()
    assert claim.cancelled()
    assert await outcome(ledger, new_entry("b")) is ClaimOutcome.HELD


async def test_it_survives_kills(tmp_path: Path) -> None:
    """Processes that share it are killed in mid-write: what is there is whole, and each job has one holder."""
    path = str(tmp_path / "jobs.db")
    async with SQLiteLedger(path) as ledger:
        await outcome(ledger, new_entry())
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=claim_until_killed, args=(path, n, NOW), daemon=True) for n in range(2)]
        for process in processes:
            process.start()
        while await outcome(ledger, new_entry("probe", key="30")) is ClaimOutcome.GRANTED:
            await ledger.release("30", "probe")
            await asyncio.sleep(0.02)
        for process in processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.join)
        for job in range(30):
            claimed = await ledger.claim(new_entry("later", key=str(job)), now=NOW, skew=5)
            assert claimed.outcome is not ClaimOutcome.GRANTED
            assert claimed.entry.arns in (None, (claimed.entry.holder,))
        assert await ledger.purge(now=NOW + RETENTION + 1) > 30
