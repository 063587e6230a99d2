"""claims: who may start a job, without a ledger or a loop."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from ledger_rules import NOW, new_entry

from aioecs import ContainerOverride, KeyValuePair, StartTaskRequest, TaskOverride
from aioecs.errors import InvalidRequest
from aioecs.worker._ledgers.claims import (
    LONGEST_KEY,
    LOOKUP_LIMIT,
    PURGE_INTERVAL,
    RETENTION,
    ClaimOutcome,
    Entry,
    JobEntries,
    checked_key,
    checked_size,
    decide_claim,
    fingerprint,
    from_row,
    to_row,
)

SKEW = 5.0
HEIR = new_entry("b", lease=NOW + 5000, begun=NOW + 300, instances=("i2",))


@pytest.mark.parametrize(
    ("existing", "after", "outcome"),
    [
        (None, 0.0, ClaimOutcome.GRANTED),
        (new_entry(), 0.0, ClaimOutcome.HELD),
        (new_entry(), 100 + SKEW - 0.001, ClaimOutcome.HELD),
        (new_entry(), 100 + SKEW, ClaimOutcome.GRANTED),
        (new_entry(), LOOKUP_LIMIT, ClaimOutcome.GRANTED),
        (new_entry(), LOOKUP_LIMIT + 0.001, ClaimOutcome.TOO_OLD),
        (new_entry(lease=NOW + 2 * LOOKUP_LIMIT), LOOKUP_LIMIT + 1, ClaimOutcome.HELD),
        (new_entry("b"), 0.0, ClaimOutcome.GRANTED),
        (new_entry("b"), LOOKUP_LIMIT + 1, ClaimOutcome.GRANTED),
        (new_entry(arns=("arn",)), 0.0, ClaimOutcome.SETTLED),
        (new_entry(arns=()), LOOKUP_LIMIT + 1, ClaimOutcome.SETTLED),
        (new_entry("b", arns=("arn",)), 0.0, ClaimOutcome.SETTLED),
        (new_entry(fingerprint="other"), 9999.0, ClaimOutcome.MISMATCH),
        (new_entry(fingerprint="other", arns=("arn",)), 0.0, ClaimOutcome.MISMATCH),
    ],
)
def test_the_table_of_claims(existing: Entry | None, after: float, outcome: ClaimOutcome) -> None:
    """By what stands, the lease's end as another's clock may have it, and ECS's memory."""
    claimed = decide_claim(existing, HEIR, NOW + after, SKEW)
    assert claimed.outcome is outcome
    if existing is None:
        assert claimed.entry is HEIR
    elif outcome is ClaimOutcome.GRANTED and existing.holder != HEIR.holder:
        assert claimed.entry == attrs.evolve(existing, holder=HEIR.holder, lease=HEIR.lease)
    else:
        assert claimed.entry is existing


# The book ------------------------------------------------------------------------------------------------------------


def test_only_the_holder_changes_what_stands() -> None:
    """Others are refused, and change nothing; so is the holder once it is settled."""
    entries = JobEntries()
    assert entries.claim(new_entry(), NOW, SKEW).outcome is ClaimOutcome.GRANTED
    before = dict(entries.entries)
    for key, holder in (("job", "b"), ("nothing", "a")):
        assert not entries.renew(key, holder, NOW + 500)
        assert not entries.settle(key, holder, ("arn",))
        assert not entries.release(key, holder)
    assert entries.claim(HEIR, NOW, SKEW).outcome is ClaimOutcome.HELD
    assert entries.entries == before
    assert entries.renew("job", "a", NOW + 500)
    assert entries.settle("job", "a", ("arn",))
    settled = {"job": new_entry(lease=NOW + 500, arns=("arn",))}
    assert entries.entries == settled
    assert entries.settle("job", "a", ("arn",)), "again, after a lost answer"
    assert not entries.settle("job", "a", ("other",))
    assert not entries.renew("job", "a", NOW + 900)
    assert not entries.release("job", "a")
    assert entries.entries == settled


def test_what_is_released_is_gone() -> None:
    """The job is free for anybody."""
    entries = JobEntries()
    entries.claim(new_entry(), NOW, SKEW)
    assert entries.release("job", "a")
    assert entries.entries == {}
    assert entries.claim(new_entry("b", fingerprint="other"), NOW, SKEW).outcome is ClaimOutcome.GRANTED


def test_what_can_t_come_again_is_forgotten() -> None:
    """All are looked through once in an hour; a job that is claimed is looked at by itself."""
    entries = JobEntries()
    entries.claim(new_entry(key="old", begun=NOW - RETENTION), NOW, SKEW)
    entries.claim(new_entry(key="claimed", begun=NOW - RETENTION), NOW, SKEW)
    entries.claim(new_entry(key="young"), NOW, SKEW)
    soon = NOW + PURGE_INTERVAL - 1
    assert entries.claim(new_entry("b", key="claimed", begun=soon), soon, SKEW).outcome is ClaimOutcome.GRANTED
    assert entries.entries["claimed"].begun == soon
    assert set(entries.entries) == {"old", "claimed", "young"}
    entries.purge(NOW + PURGE_INTERVAL)
    assert set(entries.entries) == {"claimed", "young"}


# Keys, digests and rows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "ü" * (LONGEST_KEY // 2 + 1), 7, None, b"key", "\ud800"])
def test_a_key_has_limits(key: object) -> None:
    """A string of 1 to 1,024 bytes of UTF-8."""
    with pytest.raises(InvalidRequest, match="key: a string of 1 to 1024 bytes"):
        checked_key(key)


@pytest.mark.parametrize("key", ["x", "x" * LONGEST_KEY, "ü" * (LONGEST_KEY // 2), "\U0001f600"])
def test_a_key_within_them_is_returned(key: str) -> None:
    """As it is."""
    assert checked_key(key) is key


def test_a_job_is_as_large_as_a_ledger_holds() -> None:
    """With the ARNs of its tasks, which come later: what could be claimed can be settled."""
    checked_size("k" * LONGEST_KEY, ("a" * 32,) * 900)
    for instances in (("a" * 32,) * 1000, ("a" * 500_000,)):
        with pytest.raises(InvalidRequest, match="container_instances: no more than a ledger holds of a job"):
            checked_size("k", instances)


def test_a_digest_distinguishes_requests_and_keeps_no_secret() -> None:
    """It is the same wherever a job starts, and another for each key and request."""
    one = StartTaskRequest(task_definition="demo", container_instances=["a"])
    assert fingerprint("k", one) == fingerprint("k", one.replace(container_instances=["b"]))
    secret = ContainerOverride(name="main", environment=[KeyValuePair(name="PASSWORD", value="hunter2")])
    changed = [one.replace(group="g"), one.replace(overrides=TaskOverride(container_overrides=[secret]))]
    prints = {fingerprint("k", one), fingerprint("l", one), *(fingerprint("k", other) for other in changed)}
    assert len(prints) == 4
    assert not any("hunter2" in digest for digest in prints)


@pytest.mark.parametrize("arns", [None, (), ("arn1", "arn2")])
def test_a_row_is_read_as_it_was_written(arns: tuple[str, ...] | None) -> None:
    """Also where numbers come as text, and what isn't there has no column, as in DynamoDB."""
    entry = new_entry(instances=("i1", 'i"2'), arns=arns)
    row = to_row(entry)
    assert from_row(row) == entry
    texts: dict[str, Any] = {name: str(value) for name, value in row.items() if value is not None}
    assert from_row(texts) == entry
