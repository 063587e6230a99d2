"""What the tests of ledgers share: the rules that each holds to, in whatever it keeps its jobs."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import attrs
import pytest

from aioecs.worker import Entry, Ledger, Verdict
from aioecs.worker._ledgers.claims import KEPT, REMEMBERED, Book, judge

NOW = 1_800_000_000.0


def wish(holder: str = "a", **members: Any) -> Entry:
    """Return an intent."""
    given: dict[str, Any] = {"key": "job", "lease": NOW + 100, "begun": NOW, "fingerprint": "f", "instances": ("i1",)}
    return Entry(holder=holder, **{**given, **members})


async def verdict(ledger: Ledger, claim: Entry, now: float = NOW) -> Verdict:
    """Claim, and return the verdict."""
    return (await ledger.claim(claim, now=now, skew=5)).verdict


class LedgerRules:
    """One table of claims; a module has it under its own `ledger` fixture, which opens one with nothing in it."""

    async def test_one_of_many_has_the_job(self, ledger: Ledger) -> None:
        """Of twenty claims at once one is granted."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(verdict(ledger, wish(str(number)))) for number in range(20)]
        assert sorted(task.result() for task in tasks) == [Verdict.GRANTED, *[Verdict.HELD] * 19]

    async def test_a_settled_job_stays_so(self, ledger: Ledger) -> None:
        """It is told with its ARNs to whoever comes, settles once, and can't be released."""
        await ledger.claim(wish(), now=NOW, skew=5)
        assert await ledger.settle("job", "a", ("arn1",))
        assert await ledger.settle("job", "a", ("arn1",)), "again, after a lost answer"
        assert not await ledger.settle("job", "a", ("arn2",))
        assert not await ledger.release("job", "a")
        assert not await ledger.renew("job", "a", until=NOW + 500)
        claimed = await ledger.claim(wish("b"), now=NOW + 9999, skew=5)
        assert (claimed.verdict, claimed.entry.arns) == (Verdict.SETTLED, ("arn1",))

    async def test_an_ended_lease_is_taken_over(self, ledger: Ledger) -> None:
        """Not before the clocks may differ; with the first intent's instances and time; the dead one is out."""
        await ledger.claim(wish(), now=NOW, skew=5)
        assert await verdict(ledger, wish("b"), NOW + 104.9) is Verdict.HELD
        heir = wish("b", lease=NOW + 300, begun=NOW + 105, instances=("i2",))
        claimed = await ledger.claim(heir, now=NOW + 105, skew=5)
        assert claimed.verdict is Verdict.GRANTED
        assert claimed.entry == attrs.evolve(heir, begun=NOW, instances=("i1",))
        assert not await ledger.renew("job", "a", until=NOW + 999)
        assert not await ledger.settle("job", "a", ("arn1",))
        assert not await ledger.release("job", "a")
        assert await ledger.settle("job", "b", ("arn1",))

    async def test_a_renewed_lease_holds(self, ledger: Ledger) -> None:
        """As long as it was prolonged."""
        await ledger.claim(wish(), now=NOW, skew=5)
        assert await ledger.renew("job", "a", until=NOW + 500)
        assert await verdict(ledger, wish("b"), NOW + 300) is Verdict.HELD

    async def test_a_released_job_is_free(self, ledger: Ledger) -> None:
        """At once, and for another request too."""
        await ledger.claim(wish(), now=NOW, skew=5)
        assert await ledger.release("job", "a")
        assert not await ledger.renew("job", "a", until=NOW)
        assert not await ledger.settle("job", "a", ("arn1",))
        assert await verdict(ledger, wish("b", fingerprint="other")) is Verdict.GRANTED

    async def test_a_claim_made_twice_is_one(self, ledger: Ledger) -> None:
        """A claim whose answer was lost is granted to the same holder again."""
        assert await verdict(ledger, wish()) is Verdict.GRANTED
        assert await verdict(ledger, wish()) is Verdict.GRANTED

    async def test_another_request_is_told_so(self, ledger: Ledger) -> None:
        """Whether the first was settled, or died: it takes nothing over."""
        await ledger.claim(wish(), now=NOW, skew=5)
        assert await verdict(ledger, wish("b", fingerprint="other"), NOW + 200) is Verdict.MISMATCH
        await ledger.settle("job", "a", ())
        assert await verdict(ledger, wish("b", fingerprint="other")) is Verdict.MISMATCH

    async def test_an_intent_beyond_ecs_memory_can_t_be_known(self, ledger: Ledger) -> None:
        """It is granted to nobody."""
        await ledger.claim(wish(), now=NOW, skew=5)
        assert await verdict(ledger, wish("b"), NOW + REMEMBERED + 1) is Verdict.FORGOTTEN
        assert await verdict(ledger, wish("b"), NOW + REMEMBERED - 1) is Verdict.GRANTED

    async def test_it_may_be_entered_by_several(self, ledger: Ledger) -> None:
        """It is open until the last has left."""
        async with ledger:
            await ledger.claim(wish(), now=NOW, skew=5)
        assert await verdict(ledger, wish("b")) is Verdict.HELD

    @pytest.mark.parametrize("seed", range(30))
    async def test_what_goes_in_comes_out(self, ledger: Ledger, seed: int) -> None:
        """To the last bit of a time and the last character of a text, whatever becomes of the entry."""
        dice = random.Random(seed)
        entry = an_entry(dice)
        begun = entry.begun
        assert (await ledger.claim(entry, now=begun, skew=5)).entry == entry, "which tells a new job from an inherited"
        other = attrs.evolve(entry, holder=f"{entry.holder}, another", lease=begun + 999)
        assert (await ledger.claim(other, now=begun, skew=5)).entry == entry
        until = entry.lease + dice.random() * 1000
        assert await ledger.renew(entry.key, entry.holder, until=until)
        claimed = await ledger.claim(other, now=begun, skew=5)
        assert (claimed.verdict, claimed.entry) == (Verdict.HELD, attrs.evolve(entry, lease=until))
        arns = some_texts(dice)
        assert await ledger.settle(entry.key, entry.holder, arns)
        claimed = await ledger.claim(other, now=begun, skew=5)
        assert (claimed.verdict, claimed.entry) == (Verdict.SETTLED, attrs.evolve(entry, lease=until, arns=arns))

    async def test_keys_are_told_apart_by_their_bytes(self, ledger: Ledger) -> None:
        """Neither case nor composition nor blanks make two keys one."""
        keys = ["job", "Job", "job ", "\u00e9", "e\u0301", "1", "1.0", "job\0", "\ufeffjob"]
        for key in keys:
            assert await verdict(ledger, wish(key, key=key)) is Verdict.GRANTED
        for key in keys:
            assert (await ledger.claim(wish(key=key), now=NOW, skew=5)).entry.holder == key

    @pytest.mark.parametrize("seed", range(10))
    async def test_a_lease_ends_at_the_same_moment_in_each(self, ledger: Ledger, seed: int) -> None:
        """To the last bit, as `judge` has it."""
        dice = random.Random(seed)
        standing = wish(lease=NOW + dice.random() * 100, begun=NOW + dice.random())
        skew = dice.random() * 5
        await ledger.claim(standing, now=NOW, skew=skew)
        for now in (math.nextafter(standing.lease + skew, 0), standing.lease + skew):
            heir = wish(f"heir {now!r}", lease=now + 100, begun=now)
            expected = judge(standing, heir, now, skew)
            assert await ledger.claim(heir, now=now, skew=skew) == expected
            standing = expected.entry

    @pytest.mark.parametrize("arns", [None, ("arn1",)])
    async def test_an_entry_that_is_too_old_counts_for_nothing(
        self, ledger: Ledger, arns: tuple[str, ...] | None
    ) -> None:
        """Whether it was settled or not, and whether or not something has deleted it: the job is new."""
        await ledger.claim(wish(), now=NOW, skew=5)
        if arns is not None:
            await ledger.settle("job", "a", arns)
        late = NOW + KEPT
        before = await verdict(ledger, wish("b", fingerprint="other"), late)
        assert before is Verdict.MISMATCH
        anew = wish("b", fingerprint="other", lease=late + 100, begun=late + 1, instances=("i2",))
        claimed = await ledger.claim(anew, now=late + 1, skew=5)
        assert (claimed.verdict, claimed.entry) == (Verdict.GRANTED, anew)
        assert await ledger.settle("job", "b", ("arn2",))

    async def test_it_does_as_the_book_does(self, ledger: Ledger) -> None:
        """Random claims, renewals, settlements and releases come to the same, and leave the same behind."""
        dice, book, now = random.Random(12), Book(), NOW
        for number in range(150):
            now += dice.choice((0.001, 1.5, 40.0, 600.0, 3600.0, KEPT / 3)) * dice.random()
            key, holder = dice.choice("xy"), dice.choice("abc")
            match dice.choice(("claim", "claim", "renew", "keep", "release")):
                case "claim":
                    entry = wish(f"{holder}{number}", key=key, lease=now + 90 * dice.random(), begun=now)
                    holder = entry.holder
                    assert await ledger.claim(entry, now=now, skew=5) == book.claim(entry, now, 5)
                    continue
                case "renew":
                    holder = book.entries[key].holder if key in book.entries and dice.random() < 0.7 else holder
                    until = now + 100 * dice.random()
                    assert await ledger.renew(key, holder, until=until) == book.renew(key, holder, until)
                case "keep":
                    holder = book.entries[key].holder if key in book.entries and dice.random() < 0.5 else holder
                    arns = some_texts(dice)
                    assert await ledger.settle(key, holder, arns) == book.settle(key, holder, arns)
                case _:
                    holder = book.entries[key].holder if key in book.entries and dice.random() < 0.7 else holder
                    assert await ledger.release(key, holder) == book.release(key, holder)


def some_texts(dice: random.Random) -> tuple[str, ...]:
    """Draw texts as they may stand in a request, and as they may not."""
    texts = (
        "",
        "i-1",
        "arn:aws:ecs:us-east-1:123456789012:container-instance/default/0",
        'a"b',
        "\u00e9\U0001f600",
        "\0",
    )
    return tuple(dice.choice(texts) for _ in range(dice.choice((0, 1, 3, 40))))


def an_entry(dice: random.Random) -> Entry:
    """Draw an intent."""
    letters = "ab \u00e9\u0301\U0001f600\"'\\%_\0\n"
    begun = NOW + dice.random() * 10 ** dice.randint(0, 7)
    return Entry(
        key="".join(dice.choice(letters) for _ in range(dice.choice((1, 3, 200)))),
        holder="".join(dice.choice(letters) for _ in range(dice.choice((1, 32)))),
        lease=begun + dice.random() * 100,
        begun=begun,
        fingerprint=dice.choice(("f", "0" * 64)),
        instances=some_texts(dice),
    )
