"""Who may start a job: the decisions of every ledger, pure, so that all of them decide alike.

Times are wall-clock epoch seconds, for they are compared across machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from aioecs._model import StartTaskRequest
from aioecs._model._plain import to_plain
from aioecs.errors import InvalidRequest

REMEMBERED = 55 * 60.0
"""How long an intent can be looked up, in seconds: ECS shows a stopped task for an hour at least [docs]."""
KEPT = 14 * 86400.0
"""How long a ledger keeps a job, in seconds: SQS keeps a message 14 days at most [docs], then it can't come again."""
SWEPT = 3600.0
"""How often a ledger looks through all its jobs for those that are too old, in seconds: seldom, for there are many."""
LONGEST_KEY = 1024
"""In bytes of UTF-8: a partition key of DynamoDB holds 2,048 [docs]."""


class Verdict(StrEnum):
    """What a claim came to."""

    GRANTED = "granted"
    """The job is the claimant's, until its lease ends: new, or left behind by one whose lease has ended."""
    HELD = "held"
    """Another one's lease has not ended."""
    SETTLED = "settled"
    """It was started: the ARNs are there."""
    MISMATCH = "mismatch"
    """The key was used for another request."""
    FORGOTTEN = "forgotten"
    """An intent without ARNs, so old that ECS can no longer be asked what came of it."""


@attrs.frozen(kw_only=True)
class Entry:
    """What a ledger holds of a job."""

    key: str
    """The job's idempotency key."""
    holder: str
    """Who claimed it last; no two claims have the same."""
    lease: float
    """Until when it is the holder's, in epoch seconds."""
    begun: float
    """When its first intent was written, in epoch seconds: no task of it is older."""
    fingerprint: str
    """A digest of the request, without its instances."""
    instances: tuple[str, ...]
    """Where it is to start: written before the call, so that whoever comes after knows where to look."""
    arns: tuple[str, ...] | None = None
    """The tasks that were started; None until that is settled."""


@attrs.frozen
class Claimed:
    """The answer to a claim: the verdict, and the entry that stands in the ledger."""

    verdict: Verdict
    entry: Entry


def judge(standing: Entry | None, wish: Entry, now: float, skew: float) -> Claimed:
    """Decide about a claim; where it is granted, the entry returned is the one to write.

    A lease ends for others `skew` seconds later than for its holder: so far two machines' clocks may differ.
    """
    if standing is None:
        return Claimed(Verdict.GRANTED, wish)
    if standing.fingerprint != wish.fingerprint:
        return Claimed(Verdict.MISMATCH, standing)
    if standing.arns is not None:
        return Claimed(Verdict.SETTLED, standing)
    if standing.holder == wish.holder:  # our own claim, whose answer was lost
        return Claimed(Verdict.GRANTED, standing)
    if now < standing.lease + skew:
        return Claimed(Verdict.HELD, standing)
    if now > standing.begun + REMEMBERED:
        return Claimed(Verdict.FORGOTTEN, standing)
    return Claimed(Verdict.GRANTED, attrs.evolve(standing, holder=wish.holder, lease=wish.lease))


def checked_key(key: object) -> str:
    """Return the key if a ledger can hold it.

    Raises:
        InvalidRequest: it can't.
    """
    if not isinstance(key, str) or not 1 <= len(key.encode("utf-8", "surrogatepass")) <= LONGEST_KEY:
        raise InvalidRequest("key", f"a string of 1 to {LONGEST_KEY} bytes", f"a {type(key).__name__}")
    return key


def fingerprint(key: str, request: StartTaskRequest) -> str:
    """Digest a request without its instances: where a job starts may change between two tries, what it is may not.

    The digest is all that a ledger learns of the environment values in it.
    """
    plain = to_plain(request.replace(container_instances=()))
    return hashlib.sha256(json.dumps([key, plain], sort_keys=True, default=str).encode()).hexdigest()


class Book:
    """A ledger's entries in memory. Synchronous, so that each method happens as a whole."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._swept = float("-inf")

    def claim(self, wish: Entry, now: float, skew: float) -> Claimed:
        """Write the intent, if the job is free."""
        self.purge(now)
        standing = self.entries.get(wish.key)
        if standing is not None and standing.begun + KEPT < now:
            standing = None
        claimed = judge(standing, wish, now, skew)
        if claimed.verdict is Verdict.GRANTED:
            self.entries[wish.key] = claimed.entry
        return claimed

    def renew(self, key: str, holder: str, until: float) -> bool:
        """Prolong a lease; False if it is another's by now."""
        entry = self._held(key, holder)
        if entry is not None:
            self.entries[key] = attrs.evolve(entry, lease=until)
        return entry is not None

    def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write the ARNs; False if the job is another's by now."""
        standing = self.entries.get(key)
        if standing is not None and standing.holder == holder and standing.arns == arns:
            return True
        entry = self._held(key, holder)
        if entry is not None:
            self.entries[key] = attrs.evolve(entry, arns=arns)
        return entry is not None

    def release(self, key: str, holder: str) -> bool:
        """Take the intent back, for nothing was started; False if the job is another's by now."""
        entry = self._held(key, holder)
        if entry is not None:
            del self.entries[key]
        return entry is not None

    def purge(self, now: float) -> None:
        """Forget what is too old to come again; looked for once in `SWEPT` seconds, and at once in what is claimed."""
        if now < self._swept + SWEPT:
            return
        self._swept = now
        for key in [key for key, entry in self.entries.items() if entry.begun + KEPT < now]:
            del self.entries[key]

    def _held(self, key: str, holder: str) -> Entry | None:
        entry = self.entries.get(key)
        return entry if entry is not None and entry.holder == holder and entry.arns is None else None


def to_row(entry: Entry) -> dict[str, Any]:
    """Return the entry as plain values, for a table."""
    row = attrs.asdict(entry)
    row["instances"] = json.dumps(entry.instances)
    row["arns"] = None if entry.arns is None else json.dumps(entry.arns)
    return row


def from_row(row: Mapping[str, Any]) -> Entry:
    """Read what `to_row` wrote."""
    arns = row.get("arns")
    return Entry(
        key=row["key"],
        holder=row["holder"],
        lease=float(row["lease"]),
        begun=float(row["begun"]),
        fingerprint=row["fingerprint"],
        instances=tuple(json.loads(row["instances"])),
        arns=None if arns is None else tuple(json.loads(arns)),
    )
