"""Who may start a job: the decisions of every ledger, pure, so that all of them decide alike.

Times are wall-clock epoch seconds, for they are compared across machines.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast

import attrs

from aioecs._model import StartTaskRequest
from aioecs._model.codec.plain import to_plain
from aioecs.errors import InvalidRequest

REMEMBERED = 55 * 60.0
"""How long an intent can be looked up, in seconds: ECS shows a stopped task for an hour at least [docs]."""
KEPT = 14 * 86400.0
"""How long a ledger keeps a job, in seconds: SQS keeps a message 14 days at most [docs], then it can't come again."""
SWEPT = 3600.0
"""How often a ledger looks through all its jobs for those that are too old, in seconds: seldom, for there are many."""
LONGEST_KEY = 1024
"""In bytes of UTF-8: a partition key of DynamoDB holds 2,048 [docs]."""
LARGEST_ENTRY = 400 * 1024
"""In bytes: an item of DynamoDB [docs]. The other ledgers keep to it, so that all of them hold the same jobs."""
_LONGEST_ARN = 400  # in bytes, of a task, quoted: a cluster's name has 255 characters at most [docs]
_OTHER_MEMBERS = 1024  # in bytes: the names of all members, and the values of the short ones


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
    if standing is None or is_too_old(standing, now):
        return Claimed(Verdict.GRANTED, wish)
    if standing.fingerprint != wish.fingerprint:
        return Claimed(Verdict.MISMATCH, standing)
    if standing.arns is not None:
        return Claimed(Verdict.SETTLED, standing)
    if standing.holder == wish.holder:  # our own claim, whose answer was lost
        return Claimed(Verdict.GRANTED, standing)
    # Differences as a ledger with conditional writes has them, for it decides by the same numbers.
    if standing.lease > now - skew:
        return Claimed(Verdict.HELD, standing)
    if standing.begun < now - REMEMBERED:
        return Claimed(Verdict.FORGOTTEN, standing)
    return Claimed(Verdict.GRANTED, attrs.evolve(standing, holder=wish.holder, lease=wish.lease))


def is_too_old(entry: Entry, now: float) -> bool:
    """Tell whether a job's message can't come again, so that its entry counts for nothing."""
    return entry.begun < now - KEPT


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
    """See to it that a ledger can hold the job, now and with the ARNs of all its tasks.

    Raises:
        InvalidRequest: it can't.
    """
    size = len(key.encode()) + len(json.dumps(instances)) + len(instances) * _LONGEST_ARN + _OTHER_MEMBERS
    if size > LARGEST_ENTRY:
        rule = f"no more than a ledger holds of a job, which is {LARGEST_ENTRY:,} bytes with the ARNs of its tasks"
        raise InvalidRequest("container_instances", rule, f"{len(instances):,} instances, {size:,} bytes")


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
        claimed = judge(self.entries.get(wish.key), wish, now, skew)
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
        ValueError: it was written by somebody else, or half; the message names the member.
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
