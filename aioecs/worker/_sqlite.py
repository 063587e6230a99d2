"""A ledger in a file, for several processes of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import attrs

from aioecs.errors import ClientStateError
from aioecs.worker._claims import KEPT, SWEPT, Claimed, Entry, Verdict, from_row, judge, to_row
from aioecs.worker._ledger import LedgerError

T = TypeVar("T")
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY, holder TEXT NOT NULL, lease REAL NOT NULL, begun REAL NOT NULL, fingerprint TEXT NOT NULL,
    instances TEXT NOT NULL, arns TEXT
) WITHOUT ROWID
"""
_WRITE = "INSERT OR REPLACE INTO jobs VALUES (:key, :holder, :lease, :begun, :fingerprint, :instances, :arns)"
_HELD = "WHERE key = ? AND holder = ? AND arns IS NULL"


class SQLiteLedger:
    """A ledger in a file: for several processes of one machine, safe against SIGKILL. Not for network file systems.

    Args:
        path: the file; it is made if it isn't there, beside it SQLite's `-wal` and `-shm`.
        busy: how long to wait for another process's write, in seconds.
    """

    def __init__(self, path: str | Path, *, busy: float = 10.0) -> None:
        self._path = Path(path)
        self._busy = busy
        self._opened = 0
        self._swept = float("-inf")
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        self._opened += 1
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "aioecs ledger")  # SQLite's connection is met by this thread alone
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened -= 1
        thread = self._thread
        if self._opened or thread is None:
            return
        self._thread = None
        thread.submit(self._close)
        # The thread ends by itself once what it was given is done; nothing that was asked for is lost by not waiting.
        thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=self._busy, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode=WAL")
                # Every intent is on the disk before its call: a power cut must not undo it.
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(_TABLE)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it in the ledger's thread, as one transaction; a cancelled caller lets it go through."""
        if self._thread is None:
            raise ClientStateError("the ledger isn't open: use it in `async with ledger`, or give it to a worker")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

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
        except sqlite3.Error as error:
            self._close()  # the next one begins with a connection of its own
            raise LedgerError(f"the ledger {self._path}: {error}") from error
        return done

    async def claim(self, wish: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""

        def work(connection: sqlite3.Connection) -> Claimed:
            if now >= self._swept + SWEPT:
                connection.execute("DELETE FROM jobs WHERE begun < ?", (now - KEPT,))
                self._swept = now
            connection.execute("DELETE FROM jobs WHERE key = ? AND begun < ?", (wish.key, now - KEPT))
            row = connection.execute("SELECT * FROM jobs WHERE key = ?", (wish.key,)).fetchone()
            claimed = judge(None if row is None else from_row(dict(row)), wish, now, skew)
            if claimed.verdict is Verdict.GRANTED:
                connection.execute(_WRITE, to_row(claimed.entry))
            return claimed

        return await self._do(work)

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong a lease; see `Ledger`."""
        return await self._do(
            lambda it: it.execute(f"UPDATE jobs SET lease = ? {_HELD}", (until, key, holder)).rowcount == 1  # noqa: S608 constant
        )

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write what was started; see `Ledger`."""

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
            entry = None if row is None else from_row(dict(row))
            if entry is None or entry.holder != holder or entry.arns not in (None, arns):
                return False
            written = to_row(entry)["arns"] or to_row(attrs.evolve(entry, arns=arns))["arns"]
            connection.execute("UPDATE jobs SET arns = ? WHERE key = ?", (written, key))
            return True

        return await self._do(work)

    async def release(self, key: str, holder: str) -> bool:
        """Take an intent back; see `Ledger`."""
        return await self._do(lambda it: it.execute(f"DELETE FROM jobs {_HELD}", (key, holder)).rowcount == 1)  # noqa: S608 constant

    async def purge(self, *, now: float) -> int:
        """Forget the jobs that are too old to come again, and return how many they were."""
        return await self._do(lambda it: it.execute("DELETE FROM jobs WHERE begun < ?", (now - KEPT,)).rowcount)

    def __repr__(self) -> str:
        return f"<aioecs.worker.SQLiteLedger {self._path}, {'open' if self._thread is not None else 'closed'}>"
