"""A ledger in a file, for several processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import attrs

from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker._ledgers.claims import (
    PURGE_INTERVAL,
    RETENTION,
    Claimed,
    ClaimOutcome,
    Entry,
    decide_claim,
    from_row,
    to_row,
)
from aioecs.worker._ledgers.ledger import EntryError, LedgerError, unreadable

T = TypeVar("T")
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY, holder TEXT NOT NULL, lease REAL NOT NULL, begun REAL NOT NULL, fingerprint TEXT NOT NULL,
    instances TEXT NOT NULL, arns TEXT
) WITHOUT ROWID
"""
_NO_FILE = (":memory:", "", ".")
_WRITE = "INSERT OR REPLACE INTO jobs VALUES (:key, :holder, :lease, :begun, :fingerprint, :instances, :arns)"
# Raised because of a value, not of the file: too big, or no UTF-8.
_VALUE_ERRORS = (sqlite3.DataError, sqlite3.InterfaceError, UnicodeEncodeError, OverflowError)
_HELD = "WHERE key = ? AND holder = ? AND arns IS NULL"


def _make_private(path: Path) -> None:
    """Create the file if it doesn't exist: SQLite would let everybody read it. Its other files get the same mode."""
    with contextlib.suppress(OSError):  # SQLite then raises an error of its own
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _as_text(held: bytes) -> str:
    """Read a text that another program may have written; what is no UTF-8 is kept as surrogates."""
    return held.decode("utf-8", "surrogateescape")


class _Thread:
    """A thread and the connection that it alone uses, from the opening of a ledger to its closing."""

    def __init__(self, path: Path, busy: float) -> None:
        self._path = path
        self._busy = busy
        self._pool = ThreadPoolExecutor(1, "aioecs ledger")
        self._connection: sqlite3.Connection | None = None

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run it in the thread, as one transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._transact, work)

    def end(self) -> None:
        """Close the connection and end the thread, once what it was given is done."""
        self._pool.submit(self._close)
        self._pool.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            _make_private(self._path)
            connection = sqlite3.connect(self._path, timeout=self._busy, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.text_factory = _as_text
                connection.execute("PRAGMA journal_mode=WAL")
                # Every intent is on the disk before its request is sent: a power cut must not undo it.
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(_TABLE)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except _VALUE_ERRORS as error:
            raise EntryError(f"the ledger {self._path} can't hold a job: {error}") from error
        except sqlite3.Error as error:
            self._close()  # the next transaction opens a new connection
            raise LedgerError(f"the ledger {self._path}: {error}") from error
        return done


class SQLiteLedger:
    """A ledger in a file: for several processes of one machine, safe against SIGKILL. Not for network file systems.

    It may be entered again after it was left, and by several workers of one event loop at once.

    Args:
        path: the file. It is created if it doesn't exist, readable and writable by its owner alone (0600), with
            SQLite's `-wal` and `-shm` beside it. The permissions of an existing file are not changed.
        busy: how long to wait for another process's write, in seconds.

    Raises:
        InvalidRequest: the path is `:memory:`, or empty.
    """

    def __init__(self, path: str | Path, *, busy: float = 10.0) -> None:
        if str(path) in _NO_FILE:
            rule = "a file: a database in memory ends with the ledger and with any error; use MemoryLedger for that"
            raise InvalidRequest("path", rule, repr(str(path)))
        self._path = Path(path)
        self._busy = busy
        self._opened = 0
        self._purged_at = float("-inf")
        self._thread: _Thread | None = None

    async def __aenter__(self) -> Self:
        self._opened += 1
        if self._thread is None:
            # A connection of SQLite is used by one thread alone; a ledger that is entered again gets a new thread.
            self._thread = _Thread(self._path, self._busy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened -= 1
        if not self._opened and self._thread is not None:
            thread, self._thread = self._thread, None
            thread.end()

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run it in the ledger's thread, as one transaction; a cancelled caller doesn't end it."""
        if self._thread is None:
            raise ClientStateError("the ledger isn't open: use it in `async with ledger`, or give it to a worker")
        return await self._thread.do(work)

    async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""

        def work(connection: sqlite3.Connection) -> Claimed:
            if now >= self._purged_at + PURGE_INTERVAL:
                connection.execute("DELETE FROM jobs WHERE begun < ?", (now - RETENTION,))
                self._purged_at = now
            claimed = decide_claim(self._existing(connection, intent.key), intent, now, skew)
            if claimed.outcome is ClaimOutcome.GRANTED:
                connection.execute(_WRITE, to_row(claimed.entry))
            return claimed

        return await self._do(work)

    def _existing(self, connection: sqlite3.Connection, key: str) -> Entry | None:
        row = connection.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else from_row(dict(row))
        except ValueError as why:
            raise unreadable(f"the ledger {self._path}", key, why) from why

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong a lease; see `Ledger`."""
        return await self._do(
            lambda it: it.execute(f"UPDATE jobs SET lease = ? {_HELD}", (until, key, holder)).rowcount == 1  # noqa: S608 constant
        )

    async def record_instances(self, key: str, holder: str, instances: tuple[str, ...]) -> bool:
        """Write where a job is sent; see `Ledger`."""
        written = json.dumps(instances)
        return await self._do(
            lambda it: it.execute(f"UPDATE jobs SET instances = ? {_HELD}", (written, key, holder)).rowcount == 1  # noqa: S608 constant
        )

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write which tasks were started; see `Ledger`."""

        def work(connection: sqlite3.Connection) -> bool:
            entry = self._existing(connection, key)
            if entry is None or entry.holder != holder or entry.arns not in (None, arns):
                return False
            written = to_row(entry)["arns"] or to_row(attrs.evolve(entry, arns=arns))["arns"]
            connection.execute("UPDATE jobs SET arns = ? WHERE key = ?", (written, key))
            return True

        return await self._do(work)

    async def release(self, key: str, holder: str) -> bool:
        """Delete an intent; see `Ledger`."""
        return await self._do(lambda it: it.execute(f"DELETE FROM jobs {_HELD}", (key, holder)).rowcount == 1)  # noqa: S608 constant

    async def purge(self, *, now: float) -> int:
        """Delete the jobs whose messages can't be received again, and return how many they were."""
        return await self._do(lambda it: it.execute("DELETE FROM jobs WHERE begun < ?", (now - RETENTION,)).rowcount)

    def __repr__(self) -> str:
        return f"<aioecs.worker.SQLiteLedger {self._path}, {'open' if self._thread is not None else 'closed'}>"
