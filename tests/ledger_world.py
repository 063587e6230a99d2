"""What the tests of ledgers share: the rules that each holds to, in whatever it keeps its jobs."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs

from aioecs.worker import Entry, Ledger, Verdict
from aioecs.worker._claims import REMEMBERED

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
