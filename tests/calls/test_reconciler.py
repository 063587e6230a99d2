"""reconciler: all ambiguous calls of a cluster are looked up together, with few reads, whatever ECS does.

The first part runs the reconciler on a local ECS without sockets, on virtual time; the second, a client on sockets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import product
from typing import Any, Literal, TypeVar

import anyio
import attrs
import pytest
from aiobotocore.session import AioSession
from anyio.from_thread import start_blocking_portal
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import Outcome, Retries, StartResult, StartTaskRequest, Timeouts
from aioecs._calls import reconciler as reconcilers
from aioecs._calls.call import Call
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import Answered, Attempt, Lost, Rejected
from aioecs._model.codec.plain import from_plain, to_plain
from aioecs._model.codec.shape import Shape
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import ConcurrencyLimit
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    InvalidParameterException,
    ServerException,
    service_error,
)
from aioecs.testing import Behaviour, Bucket, Engine, Fault, LocalECS

R = TypeVar("R", bound=Shape)

LOST = Lost(AnswerLost("reset"))
DISGUISED = Rejected(InvalidParameterException("Rate exceeded (ErrorCode: Throttling)", status=400))


# ----------------------------------------------------------------------------- an ECS and a reconciler in one loop


class Lab:
    """A reconciler at a local ECS: a transport without sockets that records reads, and fails as scripted."""

    endpoint_url = "http://lab"
    region = "us-east-1"
    partition = "aws"

    def __init__(
        self,
        *,
        hosts: int = 3,
        latency: float = 0.01,
        throttle: dict[str, Bucket] | None = None,
        denied: Iterable[str] = (),
        **behaviour: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        given: dict[str, Any] = {"running_seconds": {"demo": None, "short": 0.0}, **behaviour}
        self.engine = Engine(clock=loop.time, behaviour=Behaviour(**given), throttle=throttle, denied=denied)
        self.engine.add_cluster()
        self.hosts = self.engine.add_instances(hosts, cpu=10**9, memory=10**9)
        self.engine.add_task_definition("demo")
        self.engine.add_task_definition("short")
        self.latency = latency
        self.reads: list[str] = []
        self.breaks: Callable[[str], Attempt[Any] | None] = lambda _: None
        self.core = Core(
            transport=self,
            concurrency=ConcurrencyLimit(50),
            timeouts=Timeouts(),
            retries=Retries(max_attempts=2),
            loop=loop,
            jitter=lambda: 0.5,
        )
        self.reconciler = Reconciler(self.core, None)

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Carry out a read, or break it; of a StartTask the answer is lost."""
        sent_marker.body_started = True
        await asyncio.sleep(self.latency)
        if operation.name == "StartTask":
            return LOST
        sent = to_plain(request)
        name = self.named(operation.name, sent)
        self.reads.append(name)
        broken = self.breaks(name)
        if broken is not None:
            return broken
        answer = self.engine.answer(operation.name, sent)
        if answer.error is None:
            return Answered(from_plain(operation.answer, answer.body))
        error = service_error(answer.error, answer.body["message"], status=answer.status)
        return Rejected(error) if error.rejected else Lost(error)

    def named(self, operation: str, sent: dict[str, Any]) -> str:
        """Name a read briefly: `list t`, `list RUNNING more`, `list i0 STOPPED`, `describe 3`."""
        if operation == "DescribeTasks":
            return f"describe {len(sent['tasks'])}"
        asked = sent.get("containerInstance")
        host = f"i{self.hosts.index(asked)}" if asked in self.hosts else None
        parts = [sent.get("startedBy"), host, sent.get("desiredStatus"), "more" if "nextToken" in sent else None]
        return " ".join(["list", *(part for part in parts if part)])

    def start(self, started_by: str | None, host: int = 0, count: int = 1, family: str = "demo", **more: Any) -> Any:
        """Start tasks and return their ARNs; those of the family "short" end at once."""
        mark = {"startedBy": started_by} if started_by else {}
        arns: list[str] = []
        for at in range(0, count, 10):
            request = {"taskDefinition": family, "containerInstances": [self.hosts[host]] * min(10, count - at)}
            answer = self.engine.call("StartTask", {**request, **mark, **more})
            arns += [task["taskArn"] for task in answer["tasks"]]
        return arns

    def ambiguous_call(
        self, name: str, hosts: Iterable[int] = (0,), started_by: str | None = None, *, sure: bool = False
    ) -> AmbiguousCall:
        """Make an ambiguous call with the token `name`, on these hosts; `sure` is one that is to be confirmed."""
        return AmbiguousCall(name, started_by or name, tuple(self.hosts[host] for host in hosts), confirm=sure)

    async def look_up(self, *ambiguous_calls: AmbiguousCall, max_wait: float = 0.0) -> list[LookupDone]:
        """Look ambiguous calls up at the same moment."""
        return await asyncio.gather(
            *(self.reconciler.look_up(ambiguous_call, max_wait) for ambiguous_call in ambiguous_calls)
        )

    async def look_up_tokens(self, *names: str, sure: bool = False) -> list[LookupDone]:
        """Look tokens up at the same moment, each on the first host."""
        return await self.look_up(*(self.ambiguous_call(name, sure=sure) for name in names))

    def took(self) -> list[str]:
        """Return what was read since this was asked last."""
        reads, self.reads = self.reads, []
        return reads


def arns(lookup: LookupDone) -> list[str | None]:
    """Return the ARNs of the tasks that a lookup found."""
    return [task.task_arn for task in lookup.tasks]


def names(count: int) -> list[str]:
    """Make so many tokens."""
    return [f"t{number}" for number in range(count)]


# ------------------------------------------------------------------------------------------------- one ambiguous call


def test_one_ambiguous_call() -> None:
    """A token takes two lists, a description of what they show, and no more."""

    async def main() -> None:
        lab = Lab()
        (arn,) = lab.start("t")
        began = lab.core.now
        (lookup,) = await lab.look_up_tokens("t")
        assert arns(lookup) == [arn]
        assert began < lookup.began < began + 0.01
        assert lookup.error is None
        assert lab.took() == ["list t", "list t STOPPED", "describe 1"]
        assert arns((await lab.look_up_tokens("u"))[0]) == []
        assert lab.took() == ["list u", "list u STOPPED"]

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("sure", "found", "reads", "whole"),
    [
        (False, False, [], False),
        (False, True, ["describe 1"], False),
        (True, True, ["describe 1"], True),
        (True, False, ["list i0 STOPPED"], True),
    ],
)
def test_absence_is_confirmed_by_instance(sure: bool, found: bool, reads: list[str], whole: bool) -> None:
    """Only a confirming lookup lists the instances of missing tasks, and only such a one is whole."""

    async def main() -> None:
        lab = Lab()
        if found:
            lab.start("t")
        (lookup,) = await lab.look_up_tokens("t", sure=sure)
        assert lab.took() == ["list t", "list t STOPPED", *reads]
        assert (len(lookup.tasks), lookup.whole) == (found, whole)

    run_in_virtual_time(main())


@pytest.mark.parametrize("reading", ["allow", "reject", "ignore"])
@pytest.mark.parametrize("crowd", [0, 5], ids=["by token", "by cluster"])
def test_a_task_that_has_stopped_is_found(reading: str, crowd: int) -> None:
    """However ECS reads startedBy beside STOPPED, a task that has ended is found before absence is believed."""

    async def main() -> None:
        lab = Lab(started_by_with_status=reading)
        (arn,) = lab.start("t", family="short")
        others = [lab.ambiguous_call(name, [1]) for name in names(crowd)]
        lookups = [(await lab.look_up(lab.ambiguous_call("t", sure=sure), *others))[0] for sure in (False, True)]
        assert arns(lookups[1]) == [arn]
        assert (arns(lookups[0]) == [arn]) is (reading != "ignore" or crowd > 0), "ignored, it shows by instance alone"
        assert lookups[1].whole

    run_in_virtual_time(main())


@pytest.mark.parametrize("reading", ["allow", "reject", "ignore"])
@pytest.mark.parametrize("sent", [True, False])
def test_a_stopped_task_on_an_unknown_instance_is_found(reading: str, sent: bool) -> None:
    """The cluster's stopped tasks are listed until a token's own list was seen to show one."""

    async def main() -> None:
        lab = Lab(started_by_with_status=reading)
        (arn,) = lab.start("t", family="short")
        lab.start("other", family="short", host=1)
        anywhere = attrs.evolve(lab.ambiguous_call("t", [], sure=True), sent=sent, anywhere=True)
        (lookup,) = await lab.look_up(anywhere)
        assert (arns(lookup), lookup.whole) == ([arn], True)
        absent = attrs.evolve(anywhere, token="absent", started_by="absent")
        for _ in range(2):
            lab.took()
            (lookup,) = await lab.look_up(absent)
            assert (arns(lookup), lookup.whole) == ([], True)
        own, cluster = ["list absent", "list absent STOPPED"], "list STOPPED"
        assert lab.took() == {"allow": own, "reject": [own[0], cluster], "ignore": [*own, cluster]}[reading]

    run_in_virtual_time(main())


def test_a_stopped_task_of_the_cluster_that_cannot_be_described() -> None:
    """It may be any call's: nothing is absent."""

    async def main() -> None:
        lab = Lab(started_by_with_status="reject")
        lab.start("t", family="short")
        (arn,) = lab.engine.call("ListTasks", {"desiredStatus": "STOPPED"})["taskArns"]
        missing = Answered(aioecs.DescribeTasksResponse(failures=[aioecs.Failure(arn=arn, reason="MISSING")]))
        lab.breaks = lambda name: missing if name.startswith("describe") else None
        (lookup,) = await lab.look_up(attrs.evolve(lab.ambiguous_call("t", [], sure=True), anywhere=True))
        assert not lookup.whole
        assert isinstance(lookup.error, AnswerLost)

    run_in_virtual_time(main())


def test_a_refusal_to_list_stopped_tasks_is_remembered() -> None:
    """Once refused, a token's stopped tasks are not listed again: every lookup lists by instance."""

    async def main() -> None:
        lab = Lab(started_by_with_status="reject")
        await lab.look_up_tokens("t")
        assert lab.took() == ["list t", "list t STOPPED", "list i0 STOPPED"]
        (lookup,) = await lab.look_up_tokens("t")
        assert lab.took() == ["list t", "list i0 STOPPED"]
        assert not lookup.whole, "it was not to confirm"
        await lab.look_up(*(lab.ambiguous_call(name) for name in names(3)))
        assert lab.took() == ["list RUNNING", "list STOPPED"], "the cluster's list shows them all"

    run_in_virtual_time(main())


def test_a_throttle_in_disguise_is_not_a_refusal() -> None:
    """InvalidParameterException … Rate exceeded says nothing of the filter."""

    async def main() -> None:
        lab = Lab()
        lab.breaks = lambda name: DISGUISED if name.endswith("STOPPED") else None
        (lookup,) = await lab.look_up_tokens("t", sure=True)
        assert isinstance(lookup.error, InvalidParameterException)
        assert not lookup.whole
        lab.breaks = lambda _: None
        lab.took()
        await lab.look_up_tokens("t")
        assert lab.took() == ["list t", "list t STOPPED"]

    run_in_virtual_time(main())


def test_an_instance_that_is_not_known_proves_nothing_and_disproves_nothing() -> None:
    """Where ECS doesn't know an instance there is nothing to find and nothing to start: the lookup is whole."""

    async def main() -> None:
        lab = Lab()
        (lookup,) = await lab.look_up(AmbiguousCall("t", "t", ("f" * 32,), confirm=True))
        assert lookup.whole
        lab.breaks = lambda name: DISGUISED if name == "list STOPPED" else None
        (lookup,) = await lab.look_up(AmbiguousCall("t", "t", ("f" * 32,), confirm=True))
        assert not lookup.whole, "a throttle in disguise is none of that"

    run_in_virtual_time(main())


def test_stopped_tasks_are_listed_only_where_they_are_needed() -> None:
    """A lookup just after the answer was lost takes one list; one that needs both shares a round with it."""

    async def main() -> None:
        lab = Lab()
        lab.start("t")
        early = [attrs.evolve(lab.ambiguous_call(name), stopped=False) for name in ("t", "u")]
        assert [len(lookup.tasks) for lookup in await lab.look_up(early[0])] == [1]
        assert lab.took() == ["list t", "describe 1"]
        await lab.look_up(early[0], lab.ambiguous_call("v"))
        assert lab.took() == ["list RUNNING", "list v STOPPED", "describe 1"]

    run_in_virtual_time(main())


def test_tags_as_tokens() -> None:
    """Under the caller's own mark, a task belongs to a call if the token is in the tag."""

    async def main() -> None:
        lab = Lab()
        (mine,) = lab.start("svc", tags=[{"key": reconcilers.TAG, "value": "t"}])
        (other,) = lab.start("svc", tags=[{"key": reconcilers.TAG, "value": "u"}])
        (bare,) = lab.start("svc")
        ambiguous_calls = [
            lab.ambiguous_call("t", started_by="svc"),
            lab.ambiguous_call("u", started_by="svc"),
            lab.ambiguous_call("svc"),
        ]
        lookups = await lab.look_up(*ambiguous_calls)
        assert [arns(lookup) for lookup in lookups[:2]] == [[mine], [other]]
        assert set(arns(lookups[2])) == {mine, other, bare}
        assert lab.took() == ["list svc", "list svc STOPPED", "describe 3"], "one mark is asked for once"

    run_in_virtual_time(main())


def test_pages_are_followed() -> None:
    """All pages of a list are read, and all that they show is described, by hundreds."""

    async def main() -> None:
        lab = Lab()
        started = lab.start("svc", count=250)
        (lookup,) = await lab.look_up(lab.ambiguous_call("svc"))
        assert set(arns(lookup)) == set(started)
        reads = lab.took()
        assert reads[:4] == ["list svc", "list svc more", "list svc more", "list svc STOPPED"]
        assert sorted(reads[4:]) == ["describe 100", "describe 100", "describe 50"]

    run_in_virtual_time(main())


# --------------------------------------------------------------------------------------------------------- in rounds


def test_all_ambiguous_calls_of_one_moment_are_one_round() -> None:
    """Fifty ambiguous calls in a small cluster are two lists and one description."""

    async def main() -> None:
        lab = Lab()
        started = {name: lab.start(name) for name in names(50)}
        lookups = await lab.look_up_tokens(*names(50))
        assert [arns(lookup) for lookup in lookups] == list(started.values())
        assert lab.took() == ["list RUNNING", "list STOPPED", "describe 50"]

    run_in_virtual_time(main())


def test_patience_waits_for_company() -> None:
    """A call waits as long as it may for others; the least patient of all begins the round."""

    async def main() -> None:
        lab = Lab()
        began = lab.core.now
        first = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("t"), 1.0))
        second = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("u"), 0.9))
        await asyncio.sleep(0.3)
        assert lab.took() == []
        third = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("v"), 0.2))
        lookups = await asyncio.gather(first, second, third)
        assert [lookup.began - began for lookup in lookups] == pytest.approx([0.5] * 3)
        assert lab.took() == ["list RUNNING", "list STOPPED"]
        await lab.look_up(lab.ambiguous_call("t"), max_wait=2.0)
        assert len(lab.took()) == 2, "and alone it is looked up all the same"

    run_in_virtual_time(main())


def test_who_comes_while_a_round_is_under_way_is_in_the_next() -> None:
    """A round answers what was asked before it began; the next one begins at once."""

    async def main() -> None:
        lab = Lab(latency=1.0)
        first = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("t"), 0.0))
        await asyncio.sleep(0.5)
        late = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("u"), 0.0))
        ended, began = (await first).began + 2.0, (await late).began
        assert began == pytest.approx(ended)
        assert lab.took() == ["list t", "list t STOPPED", "list u", "list u STOPPED"]

    run_in_virtual_time(main())


def test_a_cancelled_lookup_leaves_the_round_to_the_others() -> None:
    """Before its round it is not looked up; in it, the others get their results as if nothing had happened."""

    async def main() -> None:
        lab = Lab(latency=1.0)
        ambiguous_calls = [
            asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call(name), 1.0)) for name in ("t", "u")
        ]
        await asyncio.sleep(0.5)
        ambiguous_calls[1].cancel()
        await asyncio.wait(ambiguous_calls)
        assert lab.took() == ["list t", "list t STOPPED"]

        lab.start("t")
        ambiguous_calls = [
            asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call(name), 0.0)) for name in ("t", "u")
        ]
        await asyncio.sleep(1.5)
        ambiguous_calls[1].cancel()
        await asyncio.wait(ambiguous_calls)
        assert ambiguous_calls[1].cancelled()
        assert len(ambiguous_calls[0].result().tasks) == 1

    run_in_virtual_time(main())


def test_when_all_have_left_nothing_is_read() -> None:
    """The reconciler ends at once: a client that is closing doesn't wait for it."""

    async def main() -> None:
        lab = Lab()
        lookups = [asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call(name), 60.0)) for name in ("t", "u")]
        await asyncio.sleep(1.0)
        for look_up in lookups:
            look_up.cancel()
        await asyncio.wait(lookups)
        await iterations(5)
        assert lab.took() == []
        assert len(lab.core.background_tasks) == 0
        await lab.look_up_tokens("v")
        assert len(lab.took()) == 2, "and comes back when it is asked again"

    run_in_virtual_time(main())


def test_rounds_leave_most_of_the_bucket_to_others() -> None:
    """Rounds that are costly are held less often, and gather company: in the long run ten reads a second."""

    async def main() -> None:
        lab = Lab()
        lab.start(None, count=2500)
        ends = lab.core.now + 60.0

        async def ask(name: str) -> None:
            while lab.core.now < ends:
                await lab.reconciler.look_up(lab.ambiguous_call(name), 0.0)

        await asyncio.gather(*(ask(name) for name in names(40)))
        assert 60 * reconcilers.RATE * 0.8 < len(lab.reads) < (60 + reconcilers.CREDIT) * reconcilers.RATE + 60

    run_in_virtual_time(main())


def test_cheap_rounds_are_held_at_once() -> None:
    """A single call never waits for the rate of earlier rounds."""

    async def main() -> None:
        lab = Lab()
        for _ in range(10):
            began = lab.core.now
            (lookup,) = await lab.look_up_tokens("t")
            assert lookup.began - began < 0.01
            await asyncio.sleep(0.25)

    run_in_virtual_time(main())


def test_a_round_waits_no_longer_than_the_longest_backoff() -> None:
    """However many reads a round took, the next is not put off for ever."""

    async def main() -> None:
        lab = Lab(latency=0.001)
        lab.start("svc", count=9000)
        (lookup,) = await lab.look_up(lab.ambiguous_call("svc"))
        assert len(lab.took()) == 181
        began = lab.core.now
        (lookup,) = await lab.look_up_tokens("t")
        assert lookup.began - began <= lab.core.retries.max_backoff

    run_in_virtual_time(main())


# ------------------------------------------------------------------------------------------------- the cheapest reads


@pytest.mark.parametrize(
    ("others", "ambiguous_calls", "reads"),
    [
        pytest.param(0, 1, 2, id="one token: its two lists"),
        pytest.param(0, 2, 2, id="two tokens: the cluster's two lists"),
        pytest.param(90, 2, 2 + 1, id="and what they show, described"),
        pytest.param(950, 20, 10 + 1 + 10, id="ten pages are cheaper than twenty tokens"),
        pytest.param(950, 8, 8 + 8 + 1, id="and are not than eight: given up"),
        pytest.param(350, 2, 2 + 2 + 1, id="given up at once"),
    ],
)
def test_the_cheaper_way(others: int, ambiguous_calls: int, reads: int) -> None:
    """By the cluster's list or token by token, whichever is fewer reads, as far as the first pages show."""

    async def main() -> None:
        lab = Lab()
        lab.start(None, count=others)
        await lab.look_up_tokens(*names(ambiguous_calls))
        assert len(lab.took()) == reads

    run_in_virtual_time(main())


def test_a_cluster_that_is_too_large_is_remembered() -> None:
    """It is not listed again for as few tokens; for more it is."""

    async def main() -> None:
        lab = Lab()
        lab.start(None, count=950)
        await lab.look_up_tokens(*names(8))
        assert "list RUNNING" in lab.took()
        await lab.look_up_tokens(*names(8))
        assert "list RUNNING" not in lab.took()
        await lab.look_up_tokens(*names(40))
        assert len(lab.took()) == 10 + 1 + 10
        await lab.look_up_tokens(*names(10))
        assert len(lab.took()) == 10 + 1, "whose tasks they are is known by now"
        await lab.look_up_tokens(*names(8))
        assert len(lab.took()) == 8 + 1, "and how many pages they take"

    run_in_virtual_time(main())


def test_strangers_are_described_once() -> None:
    """A task that was described and is of no call is not described again; one that has become ambiguous since is."""

    async def main() -> None:
        lab = Lab()
        (late,) = lab.start("late")
        lab.start(None, count=150)
        await lab.look_up_tokens(*names(9))
        assert sorted(lab.took())[:2] == ["describe 100", "describe 51"]
        await lab.look_up_tokens(*names(9))
        assert not any(read.startswith("describe") for read in lab.took())
        lookups = await lab.look_up_tokens("late", *names(9))
        assert lab.took()[-1] == "describe 1"
        assert arns(lookups[0]) == [late]

    run_in_virtual_time(main())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, and described again if they show."""
    monkeypatch.setattr(reconcilers, "REMEMBERED", 60)

    async def main() -> None:
        lab = Lab()
        lab.start(None, count=100)
        await lab.look_up_tokens(*names(9))
        assert lab.took()[-1] == "describe 100"
        await lab.look_up_tokens(*names(9))
        assert lab.took()[-1] == "describe 40"
        assert len(lab.reconciler._others) == 60

    run_in_virtual_time(main())


# ---------------------------------------------------------------------------------------------- when reads go wrong


def test_a_task_that_is_described_a_moment_late() -> None:
    """ListTasks shows it a moment before DescribeTasks: it is described again in the same round."""

    async def main() -> None:
        lab = Lab(describe_lag=0.2)
        lab.start("t")
        lab.start(None, count=3)
        lookups = await lab.look_up_tokens("t", "u", "v", sure=True)
        assert [len(lookup.tasks) for lookup in lookups] == [1, 0, 0]
        assert [lookup.whole for lookup in lookups] == [True, True, True]

    run_in_virtual_time(main())


def test_what_was_never_sent_is_not_confirmed_host_by_host() -> None:
    """The cluster's own list of stopped tasks answers for all keys at once."""

    async def main() -> None:
        lab = Lab(hosts=50)
        ambiguous_calls = [attrs.evolve(lab.ambiguous_call(f"k{at}", [at], sure=True), sent=False) for at in range(50)]
        lookups = await lab.look_up(*ambiguous_calls)
        assert all(lookup.whole for lookup in lookups)
        assert lab.took() == ["list RUNNING", "list STOPPED"]

    run_in_virtual_time(main())


def test_what_is_listed_and_cannot_be_described_yet() -> None:
    """It keeps the lookup of its own token from being whole, and no other's, also where the cluster's list shows it."""

    async def main() -> None:
        lab = Lab(describe_lag=60.0)
        lab.start("t")
        lab.reconciler._too_large_for = dict.fromkeys(reconcilers.LISTED, 4)
        lookups = await lab.look_up_tokens("t", "u", sure=True)
        assert [lookup.whole for lookup in lookups] == [False, True]
        assert isinstance(lookups[0].error, AnswerLost)
        assert "misses 1 task" in str(lookups[0].error)
        lab.reconciler._too_large_for = dict.fromkeys(reconcilers.LISTED, 0)
        lookups = await lab.look_up_tokens("t", "u", sure=True)
        assert [lookup.whole for lookup in lookups] == [False, True]
        await asyncio.sleep(60)
        lookups = await lab.look_up_tokens("t", "u", sure=True)
        assert [lookup.whole for lookup in lookups] == [True, True]

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        pytest.param("list t", [False, True, True], id="a token's list"),
        pytest.param("list t STOPPED", [False, True, True], id="a token's list of stopped ones"),
        pytest.param("list i0 STOPPED", [False, False, True], id="an instance's list"),
        pytest.param("describe 3", [False, False, False], id="the description of all"),
    ],
)
def test_a_failed_read_concerns_only_the_calls_it_was_for(broken: str, whole: list[bool]) -> None:
    """A fault is retried as `Retries` says, then fails the lookups that it concerns, and no others."""

    async def main() -> None:
        lab = Lab()
        lab.reconciler._too_large_for = dict.fromkeys(reconcilers.LISTED, 99)
        for name in ("t", "u", "v"):
            lab.start(name, 2)
        lab.breaks = lambda name: LOST if name == broken else None
        hosts = {"t": [0, 2], "u": [0, 2], "v": [1, 2]}
        lookups = await lab.look_up(*(lab.ambiguous_call(name, hosts[name], sure=True) for name in hosts))
        assert [lookup.whole for lookup in lookups] == whole
        assert [lookup.error is None for lookup in lookups] == whole
        assert not any(lookup.denied for lookup in lookups)
        assert lab.took().count(broken) == 2

    run_in_virtual_time(main())


@pytest.mark.parametrize("broken", ["list RUNNING", "list STOPPED", "describe 3"])
def test_a_failing_list_of_the_cluster_is_no_lookup(broken: str) -> None:
    """A task that can't be described may be of any call."""

    async def main() -> None:
        lab = Lab()
        for name in names(3):
            lab.start(name)
        lab.breaks = lambda name: LOST if name == broken else None
        lookups = await lab.look_up_tokens(*names(3), sure=True)
        assert not any(lookup.whole or lookup.tasks for lookup in lookups)
        assert all(isinstance(lookup.error, AnswerLost) for lookup in lookups)
        lab.breaks = lambda _: None
        assert all(lookup.whole and lookup.tasks for lookup in await lab.look_up_tokens(*names(3), sure=True))

    run_in_virtual_time(main())


def test_an_ecs_that_is_down_is_not_asked_hundreds_of_times() -> None:
    """Each lane of a round ends with its first failure; whoever wasn't asked for then has not been looked up."""

    async def main() -> None:
        lab = Lab()
        lab.reconciler._too_large_for = dict.fromkeys(reconcilers.LISTED, 999)
        lab.breaks = lambda _: LOST
        lookups = await lab.look_up_tokens(*names(100), sure=True)
        assert not any(lookup.whole for lookup in lookups)
        assert len(lab.took()) == 2 * reconcilers.WIDTH + 2, "two tries for each lane, and two of the instance"

    run_in_virtual_time(main())


def test_throttled_reads_are_made_again() -> None:
    """A throttle costs time and no more, within the clock of an attempt."""

    async def main() -> None:
        lab = Lab(throttle={"read": Bucket(1, 1)})
        (arn,) = lab.start("t")
        (lookup,) = await lab.look_up_tokens("t", sure=True)
        assert arns(lookup) == [arn]
        assert lookup.whole
        assert lab.engine.truth.throttled.total() == len(lab.took()) - 3
        assert lab.core.throttled == lab.engine.truth.throttled.total()

    run_in_virtual_time(main())


def test_a_throttle_without_end_is_no_lookup() -> None:
    """The clock of an attempt bounds each read; what was not read was not looked up."""

    async def main() -> None:
        lab = Lab(throttle={"read": Bucket(0, 0)})
        began = lab.core.now
        (lookup,) = await lab.look_up_tokens("t", sure=True)
        assert not lookup.whole
        assert lab.core.now - began < 2 * lab.core.timeouts.attempt + 1

    run_in_virtual_time(main())


@pytest.mark.parametrize("operation", ["ListTasks", "DescribeTasks"])
@pytest.mark.parametrize("crowd", [1, 9])
def test_what_is_not_permitted(operation: str, crowd: int, caplog: pytest.LogCaptureFixture) -> None:
    """Every call gets the denial as an error of its own, and it is logged once."""

    async def main() -> None:
        lab = Lab(denied=[operation])
        for name in names(crowd):
            lab.start(name)
        for _ in range(2):
            lookups = await lab.look_up_tokens(*names(crowd), sure=True)
            assert all(lookup.denied and not lookup.whole for lookup in lookups)
            assert all(isinstance(lookup.error, AccessDeniedException) for lookup in lookups)
            assert len({id(lookup.error) for lookup in lookups}) == crowd
            assert len(lab.took()) <= 3
        lab.engine.denied = {operation}
        lab.reconciler._too_large_for = dict.fromkeys(reconcilers.LISTED, 99)
        lookups = await lab.look_up_tokens(*names(crowd), sure=True)
        assert all(lookup.denied for lookup in lookups)

    with caplog.at_level(logging.WARNING, "aioecs"):
        run_in_virtual_time(main())
    (warning,) = caplog.records
    assert "can't be looked up, they end as UNKNOWN: AccessDeniedException" in warning.message


def test_an_error_keeps_its_cause() -> None:
    """Each gets the same fault as a copy that has the same message and the same cause."""

    async def main() -> None:
        lab = Lab()
        fault = ServerException("oh", status=500, request_id="rid")
        fault.__cause__ = cause = ValueError("beneath")
        lab.breaks = lambda _: Lost(fault)
        one, other = await lab.look_up_tokens("t", "u")
        assert one.error is not None
        assert other.error is not None
        assert str(one.error) == str(other.error) == str(fault)
        assert one.error.__cause__ is other.error.__cause__ is cause
        assert one.error is not other.error

    run_in_virtual_time(main())


# ------------------------------------------------------------------------------------------------- the end of a round


def test_the_end_of_the_loop_cuts_a_lookup() -> None:
    """The rounds are cancelled and their callers are not: the lookup counts as none, and the next is a new round."""

    async def main() -> None:
        lab = Lab(latency=1.0)
        (arn,) = lab.start("t")
        in_round = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("t"), 0.0))
        await asyncio.sleep(0.5)
        waiting = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("t"), 0.0))
        await iterations(1)
        lab.core.background_tasks.cancel()
        for lookup in await asyncio.gather(in_round, waiting):
            assert not lookup.whole
            assert isinstance(lookup.error, AnswerLost)
            assert lookup.tasks == ()
        (lookup,) = await lab.look_up_tokens("t")
        assert arns(lookup) == [arn]

    run_in_virtual_time(main())


def test_a_lookup_that_begins_while_the_rounds_are_being_cancelled() -> None:
    """A lookup that begins while the rounds are ending gets an error, and may be repeated."""

    async def main() -> None:
        lab = Lab(latency=1.0)
        first = asyncio.ensure_future(lab.reconciler.look_up(lab.ambiguous_call("t"), 0.0))
        await asyncio.sleep(0.5)
        lab.core.background_tasks.cancel()
        lookup = await lab.reconciler.look_up(lab.ambiguous_call("u"), 0.0)
        assert isinstance(lookup.error, AnswerLost)
        assert isinstance((await first).error, AnswerLost)
        assert (await lab.look_up_tokens("u"))[0].error is None

    run_in_virtual_time(main())


def test_a_fault_of_our_own_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """A round that breaks is logged, its lookups count as none, and the reconciler goes on."""

    def bug(_: str) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        lab = Lab()
        lab.breaks = bug
        lookups = await lab.look_up_tokens("t", "u", sure=True)
        assert [str(lookup.error) for lookup in lookups] == ["the lookup was cancelled"] * 2
        lab.breaks = lambda _: None
        assert all(lookup.whole for lookup in await lab.look_up_tokens("t", "u", sure=True))

    run_in_virtual_time(main())
    assert "ended with an error: aioecs looks up ambiguous calls" in caplog.text


# -------------------------------------------------------------------------- many ambiguous calls, with the real clocks


@pytest.mark.parametrize(
    ("count", "others", "acted", "at_most"),
    [
        pytest.param(300, 0, True, 100, id="300 that started"),
        pytest.param(300, 0, False, 200, id="300 that did not"),
        pytest.param(300, 1000, True, 200, id="300 that started, beside a thousand others"),
        pytest.param(300, 1000, False, 400, id="300 that did not, beside a thousand others"),
        pytest.param(70, 0, True, 100, id="70 that started"),
        pytest.param(70, 0, False, 200, id="70 that did not"),
        pytest.param(1, 5000, True, 20, id="one that started, beside five thousand others"),
        pytest.param(1, 5000, False, 40, id="one that did not, beside five thousand others"),
    ],
)
def test_the_cost_of_many_ambiguous_calls(count: int, others: int, acted: bool, at_most: int) -> None:
    """Calls on fifty hosts that lose their answers at once, under the default clocks and the published read bucket."""

    async def main() -> None:
        lab = Lab(hosts=50, throttle={"read": Bucket(100, 20)}, visibility_lag=0.5)
        lab.start(None, count=others)
        core = lab.core
        calls: list[Call] = []
        for at, name in enumerate(names(count)):
            host = at % len(lab.hosts)
            if acted:
                lab.start(name, host)
            request = StartTaskRequest(task_definition="demo", container_instances=[lab.hosts[host]])
            record = CallRecord(
                request=request,
                token=name,
                timeouts=core.timeouts,
                retries=core.retries,
                delivery="at_most_once",
                deadline=core.now + core.timeouts.call,
            )
            calls.append(Call(core, record, request.replace(started_by=name), lab.reconciler))
            calls[-1].begin()
        began = core.now
        await asyncio.gather(*(call.end_waiter() for call in calls))
        outcomes = {start.outcome for call in calls for start in call.record.starts()}
        assert outcomes == {Outcome.STARTED if acted else Outcome.UNKNOWN}
        assert len(lab.reads) <= at_most
        assert core.now - began < (5 if acted else core.timeouts.consistency + 5)

    run_in_virtual_time(main())


# ------------------------------------------------------------------------------------------- a client on real sockets


SESSION = AioSession()  # which loads the service's model once for all clients


@asynccontextmanager
async def served(
    *faults: Fault, timeouts: Timeouts, ecs: dict[str, Any] | None = None, **client: Any
) -> AsyncGenerator[tuple[LocalECS, aioecs.Client]]:
    """Serve a local ECS, and open a client of it with short backoffs."""
    async with LocalECS(faults=faults, **(ecs or {})) as local:
        access: dict[str, Any] = {
            **local.client_kwargs(),
            "retries": Retries(initial_backoff=0.05, max_backoff=1.0),
            **client,
        }
        async with aioecs.Client(session=SESSION, timeouts=timeouts, **access) as opened:
            yield local, opened


async def outcome(client: aioecs.Client, request: StartTaskRequest, **more: Any) -> StartResult:
    """Start one task, and return its outcome, however that is reported."""
    try:
        response = await client.start_task(request, **more)
    except aioecs.ECSError as error:
        (start,) = error.starts
        return start
    (task,) = response.tasks
    return StartResult(
        request=request, container_instance=request.container_instances[0], outcome=Outcome.STARTED, task=task
    )


def request_on(instance: str, **more: Any) -> StartTaskRequest:
    """Make a request for one instance."""
    return StartTaskRequest(task_definition="demo", container_instances=[instance], **more)


@pytest.mark.parametrize("when", ["after", "before"])
async def test_three_hundred_ambiguous_calls(when: Literal["after", "before"]) -> None:
    """On 50 hosts, with reads at 100 and then 20 a second, 300 lost answers are settled with at most 400 reads."""
    async with served(
        Fault("reset", when=when, times=300),
        timeouts=Timeouts(consistency=2, call=30),
        ecs={"instances": 50, "visibility_lag": 0.5, "throttle": {"read": Bucket(100, 20)}},
        pacing=aioecs.Pacing(burst=1000, rate=1000),
    ) as (local, client):
        requests = [request_on(local.instance_arns[at % 50]) for at in range(300)]
        starts = await asyncio.gather(*(outcome(client, request) for request in requests))
        truth = local.truth
        assert truth.requests["StartTask"] == 300, "nothing was sent again"
        assert Counter(start.outcome for start in starts) == {
            Outcome.STARTED if when == "after" else Outcome.UNKNOWN: 300
        }
        reported = {start.task.task_arn for start in starts if start.task is not None}
        assert reported == {task.arn for task in truth.tasks()}
        assert truth.requests["ListTasks"] + truth.requests["DescribeTasks"] <= 400


READS = ("ListTasks", "DescribeTasks")
LOST_IN: tuple[Literal["hang", "reset", "close", "error", "truncated", "garbage", "empty"], ...] = (
    "hang", "reset", "close", "error", "truncated", "garbage", "empty",
)  # fmt: skip
BEFORE_AND_AFTER: tuple[Literal["before", "after"], ...] = ("before", "after")
LOOK_UP_FAULTS = [
    *(Fault(*how, operation=read, times=2) for how, read in product(product(LOST_IN, BEFORE_AND_AFTER), READS)),
    *(Fault("throttle", operation=read, times=5) for read in READS),
]


async def test_faults_of_the_look_up_are_survived() -> None:
    """Whatever happens to the reads, a start whose answer was lost is found in the end."""

    async def one(fault: Fault) -> None:
        lost = Fault("reset", when="after")
        async with served(lost, fault, timeouts=Timeouts(attempt=0.5, consistency=1, call=30)) as (local, client):
            start = await outcome(client, request_on(local.instance_arns[0]))
            (task,) = local.truth.tasks()
            assert start.task is not None, fault
            assert start.task.task_arn == task.arn
            assert not list(local.faults), "it was met"

    async with anyio.create_task_group() as group:
        for fault in LOOK_UP_FAULTS:
            group.start_soon(one, fault)


@pytest.mark.parametrize("reading", ["allow", "reject", "ignore"])
async def test_a_task_that_has_stopped_when_it_is_looked_up(reading: str) -> None:
    """It is adopted, not started again, whichever way ECS reads startedBy beside STOPPED."""
    async with served(
        Fault("close", when="after"),
        timeouts=Timeouts(consistency=0.5, call=30),
        ecs={"running_seconds": 0.0, "started_by_with_status": reading, "visibility_lag": 0.2},
        delivery="at_least_once",
    ) as (local, client):
        start = await outcome(client, request_on(local.instance_arns[0]))
        (task,) = local.truth.tasks()
        assert start.task is not None
        assert (start.task.task_arn, start.task.desired_status) == (task.arn, "STOPPED")


@pytest.mark.parametrize("operation", ["ListTasks", "DescribeTasks"])
async def test_a_role_that_may_not_look_up(operation: str, caplog: pytest.LogCaptureFixture) -> None:
    """Ambiguous starts end as UNKNOWN at once, and the log says why, once."""
    async with served(
        Fault("reset", when="after", times=5), timeouts=Timeouts(consistency=20), ecs={"denied": [operation]}
    ) as (local, client):
        requests = [request_on(local.instance_arns[0])] * 5
        with caplog.at_level(logging.WARNING, "aioecs"):
            starts = await asyncio.wait_for(asyncio.gather(*(outcome(client, one) for one in requests)), 10)
        assert {start.outcome for start in starts} == {Outcome.UNKNOWN}
        assert all(isinstance(start.error, AnswerLost) for start in starts), "the cause is the answer that was lost"
        assert len([record for record in caplog.records if "can't be looked up" in record.message]) == 1


async def test_the_callers_own_mark() -> None:
    """With tokens in tags a start under the caller's mark is found; without, what may be it is a candidate."""
    timeouts = Timeouts(consistency=0.5, call=30)
    async with served(Fault("reset", when="after"), timeouts=timeouts, tag_tokens=True) as (local, client):
        await client.start_task(request_on(local.instance_arns[0], started_by="svc"))
        start = await outcome(client, request_on(local.instance_arns[0], started_by="svc"))
        tasks = local.truth.tasks()
        assert {task.started_by for task in tasks} == {"svc"}
        assert start.task is not None
        assert start.task.task_arn in {task.arn for task in tasks}
    async with served(Fault("reset", when="after"), timeouts=timeouts) as (local, client):
        with pytest.raises(aioecs.StartUnknown) as caught:
            await client.start_task(request_on(local.instance_arns[0], started_by="svc"))
        assert [task.task_arn for task in caught.value.candidates] == [task.arn for task in local.truth.tasks()]


async def test_many_keys_are_looked_up_together() -> None:
    """A hundred calls with keys of their own share their lookups, before they send and when they come again."""
    async with served(timeouts=Timeouts(), ecs={"instances": 10}) as (local, client):

        async def start_all() -> list[str | None]:
            requests = [request_on(local.instance_arns[at % 10]) for at in range(100)]
            starts = await asyncio.gather(
                *(outcome(client, one, idempotency_key=f"key {at}") for at, one in enumerate(requests))
            )
            return [start.task.task_arn for start in starts if start.task is not None]

        first = await start_all()
        assert local.truth.requests["ListTasks"] + local.truth.requests["DescribeTasks"] <= 2 + 10
        assert await start_all() == first
        assert local.truth.requests["StartTask"] == len(first) == 100
        assert local.truth.requests["ListTasks"] + local.truth.requests["DescribeTasks"] <= 2 + 10 + 3


def test_the_end_of_asyncio_run_while_looking() -> None:
    """The loop ends while a start is being looked up: it is looked up at once, and the hook gets the outcome."""
    received: list[tuple[tuple[StartResult, ...], str | None]] = []
    slow = Fault("delay", when="after", operation="ListTasks", seconds=5)
    with start_blocking_portal() as portal:
        ecs = LocalECS(faults=[Fault("reset", when="after"), slow])
        with portal.wrap_async_context_manager(ecs) as local:

            async def main() -> None:
                access: dict[str, Any] = {**local.client_kwargs(), "on_cancel": "keep"}
                client = aioecs.Client(on_settled=lambda starts, why: received.append((starts, why)), **access)

                async def use() -> None:
                    async with client:
                        await client.start_task(request_on(local.instance_arns[0]))

                task = asyncio.create_task(use())
                while not local.truth.requests["ListTasks"]:
                    await asyncio.sleep(0.01)
                assert not task.done()

            began = time.monotonic()
            asyncio.run(main())
            assert time.monotonic() - began < 5, "the slow look was cut"
            (task,) = local.truth.tasks()
    starts, reason = received[0]
    assert [(start.outcome, start.task and start.task.task_arn) for start in starts] == [(Outcome.STARTED, task.arn)]
    assert reason is not None
