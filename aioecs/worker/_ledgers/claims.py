"""Who may start a job: the decisions of every ledger, without I/O, so that all ledgers decide alike.

Times are epoch seconds by the wall clock, because they are compared across machines.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast

import attrs

from aioecs._model import RunTaskRequest, StartTaskRequest
from aioecs._model.codec.plain import to_plain
from aioecs.errors import InvalidRequest

LOOKUP_LIMIT = 55 * 60.0
"""How long an intent can be looked up, in seconds: ECS shows a stopped task for an hour at least [docs]."""
RETENTION = 14 * 86400.0
"""How long a ledger keeps a job, in seconds: SQS keeps a message 14 days at most [docs], then it can't come again."""
PURGE_INTERVAL = 3600.0
"""How often a ledger deletes all jobs that are too old, in seconds."""
LONGEST_KEY = 1024
"""In bytes of UTF-8: a partition key of DynamoDB holds 2,048 [docs]."""
LARGEST_ENTRY = 400 * 1024
"""In bytes: an item of DynamoDB [docs]. The other ledgers have the same limit."""
_LONGEST_ARN = 400  # in bytes, of a task, quoted: a cluster's name has 255 characters at most [docs]
_OTHER_MEMBERS = 1024  # in bytes: the names of all members, and the values of the short ones


class ClaimOutcome(StrEnum):
    """Whether a claim was granted, and if not, why."""

    GRANTED = "granted"
    """The claimant may start the job until its lease ends: it is new, or another worker's lease has ended."""
    HELD = "held"
    """Another worker has a lease that has not ended."""
    SETTLED = "settled"
    """It was started: the ledger has the ARNs."""
    MISMATCH = "mismatch"
    """The key was used for another request."""
    TOO_OLD = "too old"
    """Its intent has no ARNs, and is so old that ECS may not show any more what was started."""


@attrs.frozen(kw_only=True)
class Entry:
    """A row of a ledger: one job."""

    key: str
    """The job's idempotency key."""
    holder: str
    """A unique name of the last claim that was granted."""
    lease: float
    """When the holder's lease ends, in epoch seconds."""
    begun: float
    """When its first intent was written, in epoch seconds: none of its tasks is older."""
    fingerprint: str
    """A digest of the key and of the request, without its instances."""
    instances: tuple[str, ...]
    """The container instances where it may have been started. They are written before the request is sent, so that the
    next holder looks there. Empty for RunTask, and for a job that waits to be placed."""
    arns: tuple[str, ...] | None = None
    """The tasks that were started; None until the start is settled."""


@attrs.frozen
class Claimed:
    """The answer to a claim: its outcome, and the entry that is in the ledger now."""

    outcome: ClaimOutcome
    entry: Entry


def decide_claim(existing: Entry | None, intent: Entry, now: float, skew: float) -> Claimed:
    """Decide about a claim; if it is granted, the entry that is returned is to be written.

    For others a lease ends `skew` seconds later than for its holder: the clocks of two machines may differ by so much.
    """
    if existing is None or is_too_old(existing, now):
        return Claimed(ClaimOutcome.GRANTED, intent)
    if existing.fingerprint != intent.fingerprint:
        return Claimed(ClaimOutcome.MISMATCH, existing)
    if existing.arns is not None:
        return Claimed(ClaimOutcome.SETTLED, existing)
    if existing.holder == intent.holder:  # our own claim, whose answer was lost
        return Claimed(ClaimOutcome.GRANTED, existing)
    # Compared as in the conditions of DynamoDB, which decide by the same numbers.
    if existing.lease > now - skew:
        return Claimed(ClaimOutcome.HELD, existing)
    if existing.begun < now - LOOKUP_LIMIT:
        return Claimed(ClaimOutcome.TOO_OLD, existing)
    return Claimed(ClaimOutcome.GRANTED, attrs.evolve(existing, holder=intent.holder, lease=intent.lease))


def is_too_old(entry: Entry, now: float) -> bool:
    """Return whether an entry doesn't count any more, because its job's message can't be received again."""
    return entry.begun < now - RETENTION


def checked_key(key: object) -> str:
    """Return the key if every ledger can hold it.

    Raises:
        InvalidRequest: it is no string, too long, or has a lone surrogate, which no UTF-8 can hold.
    """
    rule = f"a string of 1 to {LONGEST_KEY} bytes of UTF-8"
    if not isinstance(key, str):
        raise InvalidRequest("key", rule, f"a {type(key).__name__}")
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("key", rule, "one with a lone surrogate") from None
    if not 1 <= length <= LONGEST_KEY:
        raise InvalidRequest("key", rule, f"{length} bytes")
    return key


def checked_size(key: str, instances: tuple[str, ...]) -> None:
    """Check that a ledger can hold the job, also with the ARNs of all its tasks.

    Raises:
        InvalidRequest: it is too large.
    """
    size = len(key.encode()) + len(json.dumps(instances)) + len(instances) * _LONGEST_ARN + _OTHER_MEMBERS
    if size > LARGEST_ENTRY:
        rule = f"no more than a ledger holds of a job, which is {LARGEST_ENTRY:,} bytes with the ARNs of its tasks"
        raise InvalidRequest("container_instances", rule, f"{len(instances):,} instances, {size:,} bytes")


def fingerprint(key: str, request: StartTaskRequest | RunTaskRequest) -> str:
    """Return a digest of a request without its instances: a job may move to others, and may not change otherwise.

    The ledger stores no more than this digest of the environment values.
    """
    if isinstance(request, StartTaskRequest):
        plain = to_plain(request.replace(container_instances=()))
    else:
        plain = {"RunTask": to_plain(request)}
    return hashlib.sha256(json.dumps([key, plain], sort_keys=True, default=str).encode()).hexdigest()


class JobEntries:
    """The entries of a ledger in memory. Synchronous, so that each method takes effect as a whole."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._purged_at = float("-inf")

    def claim(self, intent: Entry, now: float, skew: float) -> Claimed:
        """Write the intent, if the claim is granted."""
        self.purge(now)
        claimed = decide_claim(self.entries.get(intent.key), intent, now, skew)
        if claimed.outcome is ClaimOutcome.GRANTED:
            self.entries[intent.key] = claimed.entry
        return claimed

    def renew(self, key: str, holder: str, until: float) -> bool:
        """Prolong a lease; False if the job is another worker's by now."""
        entry = self._held(key, holder)
        if entry is not None:
            self.entries[key] = attrs.evolve(entry, lease=until)
        return entry is not None

    def record_instances(self, key: str, holder: str, instances: tuple[str, ...]) -> bool:
        """Write where the job is sent; False if it is another worker's by now."""
        entry = self._held(key, holder)
        if entry is not None:
            self.entries[key] = attrs.evolve(entry, instances=instances)
        return entry is not None

    def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write the ARNs; False if the job is another worker's by now."""
        existing = self.entries.get(key)
        if existing is not None and existing.holder == holder and existing.arns == arns:
            return True
        entry = self._held(key, holder)
        if entry is not None:
            self.entries[key] = attrs.evolve(entry, arns=arns)
        return entry is not None

    def release(self, key: str, holder: str) -> bool:
        """Delete the intent, because nothing was started; False if the job is another worker's by now."""
        entry = self._held(key, holder)
        if entry is not None:
            del self.entries[key]
        return entry is not None

    def purge(self, now: float) -> None:
        """Delete the entries that are too old, once in `PURGE_INTERVAL` seconds."""
        if now < self._purged_at + PURGE_INTERVAL:
            return
        self._purged_at = now
        for key in [key for key, entry in self.entries.items() if is_too_old(entry, now)]:
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
    """Read what `to_row` wrote.

    Raises:
        ValueError: a member is missing or of another type; the message names it.
    """
    return Entry(
        key=_text(row, "key"),
        holder=_text(row, "holder"),
        lease=_seconds(row, "lease"),
        begun=_seconds(row, "begun"),
        fingerprint=_text(row, "fingerprint"),
        instances=_texts(row, "instances"),
        arns=None if row.get("arns") is None else _texts(row, "arns"),
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    held = row.get(name)
    if not isinstance(held, str):
        raise ValueError(f"{name} is {'missing' if held is None else f'a {type(held).__name__}'}")
    return held


def _seconds(row: Mapping[str, Any], name: str) -> float:
    held = row.get(name)
    if held is None:
        raise ValueError(f"{name} is missing")
    try:
        seconds = float(held) if isinstance(held, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{name} is no number of seconds")
    return seconds


def _texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    try:
        held: object = json.loads(_text(row, name))
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"{name} is no JSON") from None
    listed = cast("list[object]", held) if isinstance(held, list) else None
    if listed is None or not all(isinstance(each, str) for each in listed):
        raise ValueError(f"{name} is no list of strings")
    return tuple(cast("list[str]", listed))
