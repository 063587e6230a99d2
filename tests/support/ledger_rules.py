"""The tests that every ledger must pass, whatever its storage."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import attrs
import pytest

from aioecs.worker import ClaimOutcome, Entry, Ledger
from aioecs.worker._ledgers.claims import LOOKUP_LIMIT, RETENTION, JobEntries, decide_claim

NOW = 1_800_000_000.0


def new_entry(holder: str = "a", **members: Any) -> Entry:
    """Return the entry of an intent."""
    given: dict[str, Any] = {"key": "job", "lease": NOW + 100, "begun": NOW, "fingerprint": "f", "instances": ("i1",)}
    return Entry(holder=holder, **{**given, **members})


async def outcome(ledger: Ledger, claim: Entry, now: float = NOW) -> ClaimOutcome:
    """Claim a job, and return the answer."""
    return (await ledger.claim(claim, now=now, skew=5)).outcome


class LedgerRules:
    """The tests of a ledger; a test module inherits them and defines the fixture `ledger`, which opens an empty one."""

    async def test_one_of_many_claims_is_granted(self, ledger: Ledger) -> None:
        """Of twenty concurrent claims, exactly one."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(outcome(ledger, new_entry(str(number)))) for number in range(20)]
        assert sorted(task.result() for task in tasks) == [ClaimOutcome.GRANTED, *[ClaimOutcome.HELD] * 19]

    async def test_a_settled_job_stays_settled(self, ledger: Ledger) -> None:
        """Every claim returns its ARNs; it settles once, and can't be released."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await ledger.settle("job", "a", ("arn1",))
        assert await ledger.settle("job", "a", ("arn1",)), "repeated, after a lost answer"
        assert not await ledger.settle("job", "a", ("arn2",))
        assert not await ledger.release("job", "a")
        assert not await ledger.renew("job", "a", until=NOW + 500)
        claimed = await ledger.claim(new_entry("b"), now=NOW + 9999, skew=5)
        assert (claimed.outcome, claimed.entry.arns) == (ClaimOutcome.SETTLED, ("arn1",))

    async def test_an_ended_lease_is_taken_over(self, ledger: Ledger) -> None:
        """After the allowed clock skew, with the first intent's instances and time; the previous holder loses it."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await outcome(ledger, new_entry("b"), NOW + 104.9) is ClaimOutcome.HELD
        successor = new_entry("b", lease=NOW + 300, begun=NOW + 105, instances=("i2",))
        claimed = await ledger.claim(successor, now=NOW + 105, skew=5)
        assert claimed.outcome is ClaimOutcome.GRANTED
        assert claimed.entry == attrs.evolve(successor, begun=NOW, instances=("i1",))
        assert not await ledger.renew("job", "a", until=NOW + 999)
        assert not await ledger.settle("job", "a", ("arn1",))
        assert not await ledger.release("job", "a")
        assert await ledger.settle("job", "b", ("arn1",))

    async def test_a_renewed_lease_holds(self, ledger: Ledger) -> None:
        """Until its new end."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await ledger.renew("job", "a", until=NOW + 500)
        assert await outcome(ledger, new_entry("b"), NOW + 300) is ClaimOutcome.HELD

    async def test_a_released_job_is_free(self, ledger: Ledger) -> None:
        """At once, for another request too."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await ledger.release("job", "a")
        assert not await ledger.renew("job", "a", until=NOW)
        assert not await ledger.settle("job", "a", ("arn1",))
        assert await outcome(ledger, new_entry("b", fingerprint="other")) is ClaimOutcome.GRANTED

    async def test_a_repeated_claim_is_granted(self, ledger: Ledger) -> None:
        """To the same holder, as after a lost answer."""
        assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED
        assert await outcome(ledger, new_entry()) is ClaimOutcome.GRANTED

    async def test_another_request_is_a_mismatch(self, ledger: Ledger) -> None:
        """Whether the first job was settled, or its lease ended: it is never taken over."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await outcome(ledger, new_entry("b", fingerprint="other"), NOW + 200) is ClaimOutcome.MISMATCH
        await ledger.settle("job", "a", ())
        assert await outcome(ledger, new_entry("b", fingerprint="other")) is ClaimOutcome.MISMATCH

    async def test_an_intent_older_than_ecs_history_is_forgotten(self, ledger: Ledger) -> None:
        """ECS no longer describes its tasks, so it is never granted."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await outcome(ledger, new_entry("b"), NOW + LOOKUP_LIMIT + 1) is ClaimOutcome.TOO_OLD
        assert await outcome(ledger, new_entry("b"), NOW + LOOKUP_LIMIT - 1) is ClaimOutcome.GRANTED

    async def test_it_can_be_entered_repeatedly(self, ledger: Ledger) -> None:
        """It is open until it is left as often as entered."""
        async with ledger:
            await ledger.claim(new_entry(), now=NOW, skew=5)
        assert await outcome(ledger, new_entry("b")) is ClaimOutcome.HELD

    async def test_an_entry_is_stored_exactly(self, ledger: Ledger) -> None:
        """To the last bit of a time and the last character of a text, after every change of the entry."""
        for seed in range(30):
            rng = random.Random(seed)
            await self.stored_exactly(ledger, attrs.evolve(an_entry(rng), key=f"{an_entry(rng).key}{seed}"), rng)

    async def stored_exactly(self, ledger: Ledger, entry: Entry, rng: random.Random) -> None:
        """Change an entry in each way, and read it after each."""
        begun = entry.begun
        assert (await ledger.claim(entry, now=begun, skew=5)).entry == entry, (
            "as a new job differs from an inherited one"
        )
        other = attrs.evolve(entry, holder=f"{entry.holder}, another", lease=begun + 999)
        assert (await ledger.claim(other, now=begun, skew=5)).entry == entry
        until = entry.lease + rng.random() * 1000
        assert await ledger.renew(entry.key, entry.holder, until=until)
        claimed = await ledger.claim(other, now=begun, skew=5)
        assert (claimed.outcome, claimed.entry) == (ClaimOutcome.HELD, attrs.evolve(entry, lease=until))
        arns = some_texts(rng)
        assert await ledger.settle(entry.key, entry.holder, arns)
        claimed = await ledger.claim(other, now=begun, skew=5)
        assert (claimed.outcome, claimed.entry) == (ClaimOutcome.SETTLED, attrs.evolve(entry, lease=until, arns=arns))

    async def test_keys_are_compared_by_their_bytes(self, ledger: Ledger) -> None:
        """Keys that differ in case, Unicode composition or blanks are different."""
        keys = ["job", "Job", "job ", "\u00e9", "e\u0301", "1", "1.0", "job\0", "\ufeffjob"]
        for key in keys:
            assert await outcome(ledger, new_entry(key, key=key)) is ClaimOutcome.GRANTED
        for key in keys:
            assert (await ledger.claim(new_entry(key=key), now=NOW, skew=5)).entry.holder == key

    async def test_a_lease_ends_at_the_same_time_in_each_ledger(self, ledger: Ledger) -> None:
        """To the last bit, as `decide_claim` decides."""
        for seed in range(10):
            rng = random.Random(seed)
            current = new_entry(key=f"job {seed}", lease=NOW + rng.random() * 100, begun=NOW + rng.random())
            skew = rng.random() * 5
            await ledger.claim(current, now=NOW, skew=skew)
            for now in (math.nextafter(current.lease + skew, 0), current.lease + skew):
                successor = new_entry(f"successor {now!r}", key=current.key, lease=now + 100, begun=now)
                expected = decide_claim(current, successor, now, skew)
                assert await ledger.claim(successor, now=now, skew=skew) == expected
                current = expected.entry

    @pytest.mark.parametrize("arns", [None, ("arn1",)])
    async def test_an_expired_entry_is_ignored(self, ledger: Ledger, arns: tuple[str, ...] | None) -> None:
        """Settled or not, deleted or not: the job is new."""
        await ledger.claim(new_entry(), now=NOW, skew=5)
        if arns is not None:
            await ledger.settle("job", "a", arns)
        late = NOW + RETENTION
        before = await outcome(ledger, new_entry("b", fingerprint="other"), late)
        assert before is ClaimOutcome.MISMATCH
        anew = new_entry("b", fingerprint="other", lease=late + 100, begun=late + 1, instances=("i2",))
        claimed = await ledger.claim(anew, now=late + 1, skew=5)
        assert (claimed.outcome, claimed.entry) == (ClaimOutcome.GRANTED, anew)
        assert await ledger.settle("job", "b", ("arn2",))

    async def test_it_behaves_as_the_in_memory_book(self, ledger: Ledger) -> None:
        """Random claims, renewals, settlements and releases have the same results and leave the same entries."""
        rng, entries, now = random.Random(12), JobEntries(), NOW
        for number in range(150):
            now += rng.choice((0.001, 1.5, 40.0, 600.0, 3600.0, RETENTION / 3)) * rng.random()
            key, holder = rng.choice("xy"), rng.choice("abc")
            match rng.choice(("claim", "claim", "renew", "keep", "release")):
                case "claim":
                    entry = new_entry(f"{holder}{number}", key=key, lease=now + 90 * rng.random(), begun=now)
                    holder = entry.holder
                    assert await ledger.claim(entry, now=now, skew=5) == entries.claim(entry, now, 5)
                    continue
                case "renew":
                    holder = entries.entries[key].holder if key in entries.entries and rng.random() < 0.7 else holder
                    until = now + 100 * rng.random()
                    assert await ledger.renew(key, holder, until=until) == entries.renew(key, holder, until)
                case "keep":
                    holder = entries.entries[key].holder if key in entries.entries and rng.random() < 0.5 else holder
                    arns = some_texts(rng)
                    assert await ledger.settle(key, holder, arns) == entries.settle(key, holder, arns)
                case _:
                    holder = entries.entries[key].holder if key in entries.entries and rng.random() < 0.7 else holder
                    assert await ledger.release(key, holder) == entries.release(key, holder)


def some_texts(rng: random.Random) -> tuple[str, ...]:
    """Return random texts, valid and invalid in a request."""
    texts = (
        "",
        "i-1",
        "arn:aws:ecs:us-east-1:123456789012:container-instance/default/0",
        'a"b',
        "\u00e9\U0001f600",
        "\0",
    )
    return tuple(rng.choice(texts) for _ in range(rng.choice((0, 1, 3, 40))))


def an_entry(rng: random.Random) -> Entry:
    """Return a random entry."""
    letters = "ab \u00e9\u0301\U0001f600\"'\\%_\0\n"
    begun = NOW + rng.random() * 10 ** rng.randint(0, 7)
    return Entry(
        key="".join(rng.choice(letters) for _ in range(rng.choice((1, 3, 200)))),
        holder="".join(rng.choice(letters) for _ in range(rng.choice((1, 32)))),
        lease=begun + rng.random() * 100,
        begun=begun,
        fingerprint=rng.choice(("f", "0" * 64)),
        instances=some_texts(rng),
    )
