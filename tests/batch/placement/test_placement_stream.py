"""placement_stream: starts placed on a local ECS over real sockets, refused, moved, parked, confirmed, cancelled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest
from aiobotocore.session import get_session
from virtual_time import iterations, until

import aioecs
from aioecs import (
    Binpack,
    CancelToken,
    DistinctInstance,
    Event,
    MemberOf,
    Outcome,
    Random,
    Spread,
    StartResult,
    StartTaskRequest,
)
from aioecs._batch import start_stream
from aioecs._batch.batch import session_of
from aioecs._batch.placement import placement_stream
from aioecs._batch.placement.inventory import Inventory
from aioecs._batch.placement.placed_starts import open_placement
from aioecs._batch.placement.placement_context import PlacementOptions
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import NotSent
from aioecs._model.call_events import CallSettled
from aioecs.errors import (
    AccessDeniedException,
    ConnectionFailed,
    ECSError,
    InvalidRequest,
    StartCancelled,
)
from aioecs.testing import Fault, LocalECS

SESSION = get_session()  # its loader keeps the service models that it has read
DEMO = StartTaskRequest(task_definition="demo")
LISTS = "ListContainerInstances"


@asynccontextmanager
async def client_of(local: LocalECS, **settings: Any) -> AsyncGenerator[aioecs.Client]:
    """Open a client that is not paced and doesn't back off for long."""
    access: dict[str, Any] = {**local.client_kwargs(), "session": SESSION}
    given: dict[str, Any] = {"pacing": None, "retries": aioecs.Retries(initial_backoff=0.001), **settings}
    async with aioecs.Client(**access, **given) as client:
        yield client


@pytest.fixture
async def client(local: LocalECS) -> AsyncIterator[aioecs.Client]:
    """Open a client of the local ECS."""
    async with client_of(local) as client:
        yield client


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refresh inventories soon, and draw all starts of a call at once, however slow the machine is."""
    monkeypatch.setattr(placement_stream, "MIN_REFRESH_INTERVAL", 0.02)
    monkeypatch.setattr(start_stream, "DRAW_SLICE", 60.0)


def spread_of(local: LocalECS) -> Counter[str]:
    """Count the tasks that run, by where."""
    return Counter(task.container_instance_arn for task in local.truth.running())


def came_to(starts: tuple[StartResult, ...] | list[StartResult]) -> dict[str, int]:
    """Count the starts by outcome."""
    return dict(Counter(start.outcome.value for start in starts))


def reasons(starts: tuple[StartResult, ...] | list[StartResult]) -> dict[str, int]:
    """Count the refusals by reason."""
    return dict(Counter(start.failure.reason or "" for start in starts if start.failure is not None))


def adds_up(report: aioecs.BatchReport, count: int) -> bool:
    """Return whether each start has one result, and the counts agree."""
    results = report.statistics
    counts = {outcome.value: getattr(results, outcome.value) for outcome in Outcome}
    counted = {outcome: number for outcome, number in counts.items() if number}
    return len(report.starts) == results.requested == count and counted == came_to(report.starts)


def fill(local: LocalECS, *instances: str, cpu: int = 4096) -> None:
    """Let others take the capacity of some instances."""
    local.engine.add_task_definition("other", cpu=cpu, memory=1)
    for instance in instances:
        local.engine.call("StartTask", {"taskDefinition": "other", "containerInstances": [instance]})


def before_the_first(client: aioecs.Client, action: Callable[[], object]) -> None:
    """Act when the inventory has been taken and nothing was sent yet; what comes of an attempt is the answer."""
    port: Any = client._core().transport
    done: list[bool] = []

    class Before:
        endpoint_url, region, partition, rate_limit_key = (
            port.endpoint_url,
            port.region,
            port.partition,
            port.rate_limit_key,
        )

        async def attempt(self, operation: Any, request: Any, sent_marker: Any) -> Any:
            if operation.name == "StartTask" and not done:
                done.append(True)
                if isinstance(what := action(), NotSent):
                    return what
            return await port.attempt(operation, request, sent_marker)

    client._core().transport = Before()


# Where they go -------------------------------------------------------------------------------------------------------


async def test_spread_over_those_that_can_take_them() -> None:
    """200 on 30 hosts of which two have no agent and two drain: all start, none on those, within two of even; of 100
    more on the 60 places that are left 60 start, and 40 are refused with the reason."""
    async with LocalECS(instances=30, cpu=100) as local, client_of(local) as client:
        away = set(local.instance_arns[:4])
        for arn in local.instance_arns[:2]:
            local.engine.set_agent(arn, connected=False)
        for arn in local.instance_arns[2:4]:
            local.engine.drain(arn)
        first = await client.place_tasks(DEMO, count=200)
        assert adds_up(first, 200)
        placed = spread_of(local)
        assert (placed.total(), len(placed), away & set(placed)) == (200, 26, set())
        assert max(placed.values()) - min(placed.values()) <= 2
        assert Counter(start.container_instance for start in first.started) == placed
        more = await client.place_tasks(DEMO, count=100)
        assert adds_up(more, 100)
        assert came_to(more.starts) == {"started": 60, "refused": 40}
        assert reasons(more.starts) == {"RESOURCE:CPU": 40}
        assert {start.container_instance for start in more.refused} == {""}
        assert {start.failure.detail for start in more.refused if start.failure is not None} == {
            "no container instance has capacity: RESOURCE:CPU on 26, AGENT on 2"
        }
        assert not any(call.failures for call in local.truth.calls("StartTask"))


async def test_ten_thousand_need_one_inventory() -> None:
    """Each is debited locally: on 200 hosts the inventory is listed and described once."""
    async with LocalECS(instances=200, cpu=600) as local, client_of(local) as client:
        async with client.batch(window=0.05) as batch:  # full calls, however slowly they are drawn
            results = await place_all_starts(batch, 10_000)
        assert came_to(results) == {"started": 10_000}
        assert batch.statistics().requested == 10_000
        assert set(spread_of(local).values()) == {50}
        reads = {name: count for name, count in local.truth.requests.items() if name != "StartTask"}
        assert reads == {"DescribeTaskDefinition": 1, LISTS: 2, "DescribeContainerInstances": 2}


async def test_spread_by_an_attribute(local: LocalECS, client: aioecs.Client) -> None:
    """As many to each Availability Zone, however many instances it has."""
    local.engine.add_instances(4, attributes={"ecs.availability-zone": "us-east-1a"})
    await client.place_tasks(DEMO, count=30, placement=Spread("ecs.availability-zone"))
    placed = spread_of(local)
    in_a = [local.instance_arns[0], *local.instance_arns[3:]]
    assert sum(placed[arn] for arn in in_a) == 10
    assert all(placed[arn] == 10 for arn in local.instance_arns[1:3])


async def test_binpack() -> None:
    """The fewest instances that are enough."""
    async with LocalECS(instances=5, cpu=100) as local, client_of(local) as client:
        await client.place_tasks(DEMO, count=25, placement=Binpack("cpu"))
        assert sorted(spread_of(local).values()) == [5, 10, 10]


async def test_random(local: LocalECS, client: aioecs.Client) -> None:
    """Anywhere: with three instances and 300 tasks, on each of them."""
    await client.place_tasks(DEMO, count=300, placement=Random())
    placed = spread_of(local)
    assert (len(placed), placed.total()) == (3, 300)


async def test_distinct(local: LocalECS, client: aioecs.Client) -> None:
    """At most one on each instance; the others are refused for that reason."""
    report = await client.place_tasks(DEMO, count=5, constraints=[DistinctInstance()])
    assert set(spread_of(local).values()) == {1}
    assert adds_up(report, 5)
    assert reasons(report.starts) == {"DistinctInstance": 2}


async def test_member_of_is_evaluated_by_ecs(local: LocalECS, client: aioecs.Client) -> None:
    """Only on those that it lists; where it lists none, none has capacity."""
    red = local.engine.add_instances(2, attributes={"colour": "red"})
    report = await client.place_tasks(DEMO, count=4, constraints=[MemberOf("attribute:colour == red")])
    assert spread_of(local) == dict.fromkeys(red, 2)
    assert came_to(report.starts) == {"started": 4}
    (none,) = (await client.place_tasks(DEMO, count=1, constraints=[MemberOf("attribute:colour == blue")])).refused
    assert none.failure is not None
    assert (none.failure.reason, none.failure.detail) == (
        "RESOURCE",
        "no container instance has capacity: none is ACTIVE and matches the constraints",
    )


async def test_only_these(local: LocalECS, client: aioecs.Client) -> None:
    """Instances that were named, by id or ARN."""
    first, second, _ = local.instance_arns
    await client.place_tasks(DEMO, count=6, instances=[first, second.rpartition("/")[2]])
    assert spread_of(local) == {first: 3, second: 3}


# Refused, and moved --------------------------------------------------------------------------------------------------


async def test_others_took_the_capacity(local: LocalECS, client: aioecs.Client) -> None:
    """RESOURCE:* sends a start elsewhere while there is an elsewhere, and then it is refused with ECS's reason."""
    first, second, third = local.instance_arns
    before_the_first(client, lambda: fill(local, first, second))
    report = await client.place_tasks(DEMO, count=9)
    assert adds_up(report, 9)
    assert came_to(report.starts) == {"started": 9}
    assert [start.container_instance for start in report.starts] == [third] * 9
    assert 6 <= sum(len(call.failures) for call in local.truth.calls("StartTask")) <= 9
    fill(local, third, cpu=4096 - 90)
    report = await client.place_tasks(DEMO, count=3)
    assert adds_up(report, 3)
    assert reasons(report.starts) == {"RESOURCE:CPU": 3}
    assert {start.container_instance for start in report.starts} == {third}
    assert all(start.token and start.attempts == 1 for start in report.starts)  # it was sent, and says so
    assert local.truth.duplicates() == []


async def test_an_agent_that_went(local: LocalECS, client: aioecs.Client) -> None:
    """AGENT sends all of an instance's starts elsewhere, after one call; it is not asked again."""
    gone = local.instance_arns[0]
    before_the_first(client, lambda: local.engine.set_agent(gone, connected=False))
    report = await client.place_tasks(DEMO, count=30)
    assert came_to(report.starts) == {"started": 30}
    assert gone not in spread_of(local)


@pytest.mark.parametrize("reason", ["MISSING", "INACTIVE"])
async def test_an_instance_that_went(local: LocalECS, client: aioecs.Client, reason: str) -> None:
    """That host is left out, and no other."""
    gone = local.instance_arns[0]
    before_the_first(client, lambda: answers_with(local, reason, {gone}))
    report = await client.place_tasks(DEMO, count=6)
    assert Counter(start.container_instance for start in report.started) == dict.fromkeys(local.instance_arns[1:], 3)


@pytest.mark.parametrize(("reason", "left"), [("ATTRIBUTE", 2), ("LOCATION", 3)])
async def test_a_kind_that_does_not_do(local: LocalECS, client: aioecs.Client, reason: str, left: int) -> None:
    """One refusal leaves out all hosts alike: of the same attributes, or in the same Availability Zone."""
    alike = [local.instance_arns[0], *local.engine.add_instances(1)]
    other = local.engine.add_instances(1, attributes={"ecs.availability-zone": "us-east-1a", "colour": "red"})[0]
    unfit = {*alike, other} if reason == "LOCATION" else set(alike)
    before_the_first(client, lambda: answers_with(local, reason, unfit))
    async with client.batch() as batch:
        async with aclosing(batch.place_tasks(DEMO, count=1, instances=alike)) as starts:
            (refused,) = [start async for start in starts]
        assert refused.failure is not None
        assert refused.failure.reason == reason
        assert local.truth.requests["StartTask"] == 1  # and not one for each of its kind
    report = await client.place_tasks(DEMO, count=12)
    assert came_to(report.starts) == {"started": 12}
    assert unfit.isdisjoint(start.container_instance for start in report.starts)
    assert len({start.container_instance for start in report.starts}) == 5 - len(unfit)


def answers_with(local: LocalECS, reason: str, instances: set[str]) -> None:
    """Have ECS refuse these instances for a reason that its description of them doesn't show."""
    engine = local.engine
    answer = engine.answer

    def refusing(operation: str, request: dict[str, Any], **more: Any) -> Any:
        if operation != "StartTask":
            return answer(operation, request, **more)
        named = request["containerInstances"]
        others = {**request, "containerInstances": [each for each in named if each not in instances]}
        if len(others["containerInstances"]) == len(named):
            return answer(operation, request, **more)
        failures = [{"arn": each, "reason": reason} for each in named if each in instances]
        if not others["containerInstances"]:
            number = engine._account.history.call_arrived(operation, request, 0.0, None)
            return attrs.evolve(answer("ListClusters", {}), body={"tasks": [], "failures": failures}, call=number)
        results = answer(operation, others, **more)
        return attrs.evolve(results, body={**results.body, "failures": [*results.body["failures"], *failures]})

    engine.answer = refusing  # type: ignore[method-assign]


async def test_an_ambiguous_start_is_never_moved(local: LocalECS, client: aioecs.Client) -> None:
    """It may run where it was sent: it stays UNKNOWN, and nothing is sent for it again."""
    local.faults.add(Fault("reset", when="after"))
    local.engine.denied.add("ListTasks")
    report = await client.place_tasks(DEMO, count=6)
    assert adds_up(report, 6)
    assert came_to(report.starts) == {"unknown": 6}
    assert (local.truth.requests["StartTask"], len(local.truth.tasks())) == (1, 6)


async def test_a_pinned_start_is_never_moved(local: LocalECS, client: aioecs.Client) -> None:
    """A request that names its instance is refused there, also among starts that are placed."""
    full, *_ = local.instance_arns
    fill(local, full)
    async with client.batch() as batch:
        placed, pinned = await asyncio.gather(
            place_all_starts(batch, 6), session_of(batch).report([DEMO.replace(container_instances=[full])])
        )
    assert came_to(placed) == {"started": 6}
    assert [(start.outcome, start.container_instance) for start in pinned.starts] == [(Outcome.REFUSED, full)]
    assert full not in {start.container_instance for start in placed}


async def place_all_starts(batch: aioecs.Batch, count: int, *args: Any, **more: Any) -> list[StartResult]:
    """Place so many, and return all."""
    return [start async for start in batch.place_tasks(DEMO, *args, count=count, **more)]


# Capacity ------------------------------------------------------------------------------------------------------------


def one_place(count: int = 1) -> LocalECS:
    """Make a local ECS of one instance with capacity for so many tasks."""
    return LocalECS(instances=1, cpu=10 * count)


async def test_waiting_for_capacity() -> None:
    """What finds none waits until tasks have ended, or instances have come."""
    async with one_place(2) as local, client_of(local) as client, client.batch() as batch:
        results: list[StartResult] = []
        async for start in batch.place_tasks(DEMO, count=7, wait_for_capacity=600):
            results.append(start)
            if len(results) in (2, 4):
                for task in local.truth.running():
                    local.engine.end_task(task.arn)
            elif len(results) == 6:
                local.engine.add_instances(1)
        assert came_to(results) == {"started": 7}
        assert batch.statistics().requested == 7


async def test_the_wait_for_capacity_has_an_end() -> None:
    """It is looked for again and again, and what found none is refused."""
    async with one_place() as local, client_of(local) as client:
        report = await client.place_tasks(DEMO, count=3, wait_for_capacity=0.1)
        assert adds_up(report, 3)
        assert came_to(report.starts) == {"started": 1, "refused": 2}
        assert local.truth.requests[LISTS] >= 2


async def test_capacity_that_is_none_is_not_tried_without_backoff() -> None:
    """What ECS refuses for a reason that the inventory never shows is tried again only after a backoff."""
    async with LocalECS() as local, client_of(local) as client:
        answers_with(local, "RESOURCE:ENI", set(local.instance_arns))
        report = await client.place_tasks(DEMO, count=6, wait_for_capacity=0.1)
        assert adds_up(report, 6)
        assert reasons(report.starts) == {"RESOURCE:ENI": 6}
        assert local.truth.requests[LISTS] <= 9  # 0.1 / 0.02, and those for surprise, at the end and at the beginning


async def test_the_wait_begins_when_there_is_no_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A placement that takes long has its full waiting time at the end."""
    monkeypatch.setattr(placement_stream, "MIN_REFRESH_INTERVAL", 1e6)
    async with one_place() as local, client_of(local) as client, client.batch() as batch:
        results: list[StartResult] = []
        now = client._core().loop.time
        async for start in batch.place_tasks(DEMO, count=2, wait_for_capacity=0.05):
            results.append(start)
            if len(results) == 1:
                monkeypatch.setattr(client._core().loop, "time", lambda: now() + 3600)
                local.engine.add_instances(1)
        assert came_to(results) == {"started": 2}


async def test_capacity_that_comes_back_needs_no_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that was never sent leaves its place to one that waits."""
    monkeypatch.setattr(placement_stream, "MIN_REFRESH_INTERVAL", 1e6)
    async with one_place(2) as local, client_of(local, retries=aioecs.Retries(max_attempts=1)) as client:
        before_the_first(client, lambda: NotSent(ConnectionFailed("no route")))
        report = await client.place_tasks(DEMO, count=3)
        assert adds_up(report, 3)
        assert came_to(report.starts) == {"not_sent": 2, "started": 1}
        assert local.truth.requests[LISTS] == 1


async def test_what_was_seen_long_ago_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a start is refused for want of capacity the inventory is renewed."""
    monkeypatch.setattr(placement_stream, "MIN_REFRESH_INTERVAL", 5.0)
    async with one_place() as local, client_of(local) as client:
        before_the_first(client, lambda: local.engine.add_instances(1))
        report = await client.place_tasks(DEMO, count=2)
        assert came_to(report.starts) == {"started": 2}
        assert local.truth.requests[LISTS] == 2


async def test_a_refresh_that_fails_ends_no_placement() -> None:
    """What has started is reported, and the others with what is known: ECS's refusal, or the error."""
    async with LocalECS(instances=2, cpu=30) as local, client_of(local) as client:

        def surprise() -> None:
            fill(local, local.instance_arns[0], cpu=30)
            local.engine.denied.add(LISTS)

        before_the_first(client, surprise)
        report = await client.place_tasks(DEMO, count=8)
        assert adds_up(report, 8)
        assert came_to(report.starts) == {"started": 3, "refused": 3, "not_sent": 2}
        assert reasons(report.starts) == {"RESOURCE:CPU": 3}
        assert all(isinstance(start.error, AccessDeniedException) for start in report.not_sent)


async def test_a_refresh_that_fails_is_followed_by_another() -> None:
    """While there is time to wait for capacity, an ECS that is down for a moment is asked again."""
    async with one_place() as local, client_of(local, retries=aioecs.Retries(max_attempts=1)) as client:
        broken = Fault("error", operation=LISTS, code="ServerException", skip=1, times=2)
        local.faults.add(broken)
        before_the_first(client, lambda: local.engine.add_instances(1))
        report = await client.place_tasks(DEMO, count=2, wait_for_capacity=600)
        assert came_to(report.starts) == {"started": 2}
        assert local.truth.requests[LISTS] == 4


async def test_a_refresh_that_can_not_go_well_is_the_last() -> None:
    """A permission that is gone does not come back by waiting."""
    async with one_place() as local, client_of(local) as client:
        before_the_first(client, lambda: local.engine.denied.add(LISTS))
        report = await client.place_tasks(DEMO, count=2, wait_for_capacity=600)
        assert came_to(report.starts) == {"started": 1, "not_sent": 1}


# Confirming ----------------------------------------------------------------------------------------------------------


def lies_about(local: LocalECS, *instances: str) -> None:
    """Have ECS start tasks on these instances, and say that it refused them."""
    engine = local.engine
    answer = engine.answer

    def lying(operation: str, request: dict[str, Any], **more: Any) -> Any:
        results = answer(operation, request, **more)
        if operation != "StartTask" or results.error is not None:
            return results
        hidden = [task["containerInstanceArn"] for task in results.body["tasks"]]
        failures = [{"arn": each, "reason": "RESOURCE:MEMORY"} for each in hidden if each in instances]
        tasks = [task for task in results.body["tasks"] if task["containerInstanceArn"] not in instances]
        return attrs.evolve(results, body={"tasks": tasks, "failures": [*results.body["failures"], *failures]})

    engine.answer = lying  # type: ignore[method-assign]


class HeldReconciler:
    """Holds all lookups until `gate` is open."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.come, self.gate = asyncio.Event(), asyncio.Event()
        original = Reconciler.look_up

        async def held(reconciler: Reconciler, ambiguous_call: AmbiguousCall, max_wait: float) -> LookupDone:
            self.come.set()
            await self.gate.wait()
            return await original(reconciler, ambiguous_call, max_wait)

        patch.setattr(Reconciler, "look_up", held)


@pytest.fixture
def reconciler(monkeypatch: pytest.MonkeyPatch) -> HeldReconciler:
    """Hold the lookups of all reconcilers."""
    return HeldReconciler(monkeypatch)


async def test_a_refusal_is_confirmed_before_it_is_moved(local: LocalECS, client: aioecs.Client) -> None:
    """The token is looked up; where no task has it, the start goes elsewhere."""
    full = local.instance_arns[0]
    before_the_first(client, lambda: fill(local, full))
    report = await client.place_tasks(DEMO, count=6, confirm_refusals=True)
    assert adds_up(report, 6)
    assert came_to(report.starts) == {"started": 6}
    assert full not in {start.container_instance for start in report.starts}
    assert local.truth.requests["ListTasks"] > 0


@pytest.mark.parametrize(
    ("template", "settings"), [(DEMO, {}), (DEMO.replace(started_by="nightly"), {"tag_tokens": True})]
)
async def test_a_refused_start_that_runs_is_found(
    local: LocalECS, template: StartTaskRequest, settings: dict[str, Any]
) -> None:
    """It is not moved, and its task is the result: nothing runs twice."""
    liar = local.instance_arns[0]
    lies_about(local, liar)
    async with client_of(local, **settings) as client:
        report = await client.place_tasks(template, count=9, confirm_refusals=True)
        assert adds_up(report, 9)
        assert came_to(report.starts) == {"started": 9}
        assert {task.task_arn for task in report.tasks} == {task.arn for task in local.truth.tasks()}
        assert {start.failure for start in report.starts} == {None}
        assert spread_of(local)[liar] == 3


async def test_a_sibling_is_not_taken_for_it() -> None:
    """Of two starts of a call on one instance the task of the one that ran is no proof of the other."""
    async with one_place(2) as local, client_of(local) as client:
        before_the_first(client, lambda: fill(local, *local.instance_arns, cpu=10))
        report = await client.place_tasks(DEMO, count=2, confirm_refusals=True)
        assert adds_up(report, 2)
        assert came_to(report.starts) == {"started": 1, "refused": 1}


async def test_a_sibling_of_another_owner_is_not_taken_for_it() -> None:
    """Nor is that of a start that another caller of the batch had in the same call."""
    async with one_place(2) as local, client_of(local) as client:
        before_the_first(client, lambda: fill(local, *local.instance_arns, cpu=10))
        async with client.batch(window=0.05) as batch:
            one, other = await asyncio.gather(*(place_all_starts(batch, 1, confirm_refusals=True) for _ in range(2)))
        assert local.truth.requests["StartTask"] == 2  # that of the other is one
        assert came_to([*one, *other]) == {"started": 1, "refused": 1}


@pytest.mark.parametrize("earlier", [0, 1])
async def test_under_a_mark_of_ones_own(local: LocalECS, client: aioecs.Client, earlier: int) -> None:
    """A task of that mark may be anyone's: where there is one the start isn't moved, and isn't said to run either."""
    first = local.instance_arns[0]
    mine = DEMO.replace(started_by="nightly")
    for _ in range(earlier):
        await client.start_task(mine.replace(container_instances=[first]))
    before_the_first(client, lambda: fill(local, first, cpu=4096 - 10 * earlier))
    report = await client.place_tasks(mine, count=3, confirm_refusals=True)
    assert adds_up(report, 3)
    assert came_to(report.starts) == ({"started": 2, "refused": 1} if earlier else {"started": 3})


async def test_a_stranger_of_that_mark_is_none(local: LocalECS, client: aioecs.Client) -> None:
    """A task of another definition can't be what was refused."""
    first = local.instance_arns[0]
    local.engine.add_task_definition("other", cpu=4096, memory=1)

    def occupy() -> None:
        request = {"taskDefinition": "other", "containerInstances": [first], "startedBy": "nightly"}
        local.engine.call("StartTask", request)

    before_the_first(client, occupy)
    report = await client.place_tasks(DEMO.replace(started_by="nightly"), count=3, confirm_refusals=True)
    assert came_to(report.starts) == {"started": 3}


async def test_a_refusal_that_can_not_be_confirmed_stays_one(local: LocalECS, client: aioecs.Client) -> None:
    """After a lookup that shows nothing no start is moved."""
    first = local.instance_arns[0]
    before_the_first(client, lambda: fill(local, first))
    local.engine.denied.add("ListTasks")
    report = await client.place_tasks(DEMO, count=3, confirm_refusals=True)
    assert adds_up(report, 3)
    assert came_to(report.starts) == {"started": 2, "refused": 1}
    assert report.refused[0].container_instance == first


async def test_a_refresh_that_is_cut(local: LocalECS, client: aioecs.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the client's tasks leaves the start refused, and nobody waiting."""

    async def cut(*_: object) -> LookupDone:
        raise asyncio.CancelledError

    monkeypatch.setattr(Reconciler, "look_up", cut)
    before_the_first(client, lambda: fill(local, *local.instance_arns))
    report = await client.place_tasks(DEMO, count=3, confirm_refusals=True)
    assert adds_up(report, 3)
    assert reasons(report.starts) == {"RESOURCE:CPU": 3}


# Cancelled -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def fired(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set an event when a placement has noticed that it is cancelled."""
    received = asyncio.Event()
    fire = placement_stream.PlacementStream._on_scope_cancelled

    def receive(stream: placement_stream.PlacementStream) -> None:
        fire(stream)
        received.set()

    monkeypatch.setattr(placement_stream.PlacementStream, "_on_scope_cancelled", receive)
    return received


async def starts_from(placement: asyncio.Task[Any]) -> StartCancelled:
    """Return what a cancelled placement says, however it was cancelled."""
    with pytest.raises((StartCancelled, asyncio.CancelledError)) as cancelled:
        await placement
    results = cancelled.value if isinstance(cancelled.value, StartCancelled) else cancelled.value.__cause__
    assert isinstance(results, StartCancelled)
    return results


@attrs.define
class Ways:
    """Begins a placement, and cancels it in one of three ways."""

    way: str
    token: CancelToken = attrs.Factory(CancelToken)
    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    task: asyncio.Task[aioecs.BatchReport] | None = None

    def begin(self, client: aioecs.Client, count: int, **more: Any) -> asyncio.Task[aioecs.BatchReport]:
        """Begin to place."""
        sources: dict[str, CancelToken | anyio.CancelScope] = {"token": self.token, "scope": self.scope}
        source = sources.get(self.way)
        self.task = asyncio.create_task(client.place_tasks(DEMO, source, count=count, **more))
        return self.task

    def cancel(self) -> None:
        """Cancel it."""
        if self.way == "token":
            self.token.cancel("enough")
        elif self.way == "scope":
            self.scope.cancel()
        elif self.task is not None:
            self.task.cancel()


@pytest.fixture(params=["token", "scope", "natively"])
async def ways(request: pytest.FixtureRequest) -> Ways:
    """Cancel in each way."""
    return Ways(request.param)


def is_true(local: LocalECS, starts: tuple[StartResult, ...]) -> bool:
    """Return whether what is said of tasks is what is true of them."""
    results = {
        outcome: {start.task.task_arn for start in starts if start.outcome is outcome and start.task is not None}
        for outcome in (Outcome.STARTED, Outcome.STOPPED)
    }
    tasks = [task for task in local.truth.tasks() if task.family != "other"]
    return results == {
        Outcome.STARTED: {task.arn for task in tasks if task.live},
        Outcome.STOPPED: {task.arn for task in tasks if not task.live},
    }


async def test_cancelled_while_it_places(ways: Ways) -> None:
    """All have results, those too that were never drawn; what runs is what is said to run."""
    async with LocalECS(instances=50, faults=[Fault("delay", when="after", seconds=0.01, times=None)]) as local:
        async with client_of(local, max_in_flight=4) as client:
            placement = ways.begin(client, 4000)
            await until(lambda: len(local.truth.running()) >= 100)
            ways.cancel()
            results = await starts_from(placement)
            assert len(results.starts) == 4000
            assert is_true(local, results.starts)
            assert came_to(results.starts)["started"] >= 60
            assert came_to(results.starts)["not_sent"] > 2000
            assert "unknown" not in came_to(results.starts)
        assert local.truth.duplicates() == []


async def test_cancelled_before(local: LocalECS, client: aioecs.Client) -> None:
    """With a token that has fired nothing is sent, and each start has that result."""
    token = CancelToken()
    token.cancel("before")
    with pytest.raises(StartCancelled) as cancelled:
        await client.place_tasks(DEMO, token, count=3000)
    assert came_to(cancelled.value.starts) == {"not_sent": 3000}
    assert (cancelled.value.reason, cancelled.value.source) == ("before", token)
    assert not local.truth.tasks()


async def test_cancelled_while_it_lists() -> None:
    """A read that hangs doesn't keep a cancelled caller: nothing was sent."""
    async with LocalECS(faults=[Fault("hang", operation=LISTS)]) as local, client_of(local) as client:
        token = CancelToken()
        placement = asyncio.create_task(client.place_tasks(DEMO, token, count=3))
        await until(lambda: local.truth.requests[LISTS] > 0)
        token.cancel()
        await iterations(10)
        try:
            assert placement.done()
        finally:
            placement.cancel()
            await asyncio.wait({placement})


async def test_cancelled_while_it_waits_for_capacity(ways: Ways) -> None:
    """What waits was never sent, or was refused; both have results at once."""
    async with LocalECS(instances=2, cpu=10) as local, client_of(local) as client:
        before_the_first(client, lambda: fill(local, local.instance_arns[0], cpu=10))
        placement = ways.begin(client, 4, wait_for_capacity=600)
        await until(lambda: local.truth.requests[LISTS] >= 3)
        ways.cancel()
        results = await starts_from(placement)
        assert came_to(results.starts) == {"started": 1, "refused": 1, "not_sent": 2}
        assert is_true(local, results.starts)
        await until(lambda: not len(client._core().background_tasks))


async def test_cancelled_while_the_inventory_is_renewed(ways: Ways) -> None:
    """A read that hangs doesn't keep the caller, and nothing is sent after it."""
    settled: list[CallSettled] = []

    def receive(event: Event) -> None:
        if isinstance(event, CallSettled):
            settled.append(event)

    async with one_place() as local, client_of(local, on_event=receive) as client:
        local.faults.add(Fault("hang", operation=LISTS, skip=1))
        placement = ways.begin(client, 2, wait_for_capacity=600)
        await until(lambda: local.truth.requests[LISTS] == 2 and bool(settled))
        await iterations(20)  # its result is with the placement: what is settled later is stopped by the cancel
        local.engine.add_instances(1)
        ways.cancel()
        results = await starts_from(placement)
        assert came_to(results.starts) == {"started": 1, "not_sent": 1}
        assert len(local.truth.tasks()) == 1


async def test_cancelled_as_the_inventory_comes(monkeypatch: pytest.MonkeyPatch, fired: asyncio.Event) -> None:
    """There is capacity again in the moment of the cancel: it is not taken."""
    async with one_place() as local, client_of(local) as client:
        token = CancelToken()
        renewed = Inventory.renewed

        async def fires(inventory: Inventory) -> Any:
            capacity_model = await renewed(inventory)
            token.cancel()
            await fired.wait()
            return capacity_model

        monkeypatch.setattr(Inventory, "renewed", fires)
        before_the_first(client, lambda: local.engine.add_instances(1))
        with pytest.raises(StartCancelled) as cancelled:
            await client.place_tasks(DEMO, token, count=2, wait_for_capacity=600)
        assert came_to(cancelled.value.starts) == {"started": 1, "not_sent": 1}


async def test_cancelled_while_it_confirms(
    ways: Ways, local: LocalECS, client: aioecs.Client, reconciler: HeldReconciler, fired: asyncio.Event
) -> None:
    """What is not found stays refused and goes nowhere else."""
    full = local.instance_arns[0]
    before_the_first(client, lambda: fill(local, full))
    placement = ways.begin(client, 3, confirm_refusals=True)
    await reconciler.come.wait()
    while len(local.truth.tasks()) < 2:  # the others may be in a call of their own, which must be over first
        await asyncio.sleep(0)
    await iterations(100)
    sent = local.truth.requests["StartTask"]
    ways.cancel()
    await fired.wait()
    reconciler.gate.set()
    results = await starts_from(placement)
    assert came_to(results.starts) == {"started": 2, "refused": 1}
    assert {start.container_instance for start in results.starts if start.outcome is Outcome.REFUSED} == {full}
    assert local.truth.requests["StartTask"] == sent


@pytest.mark.parametrize(
    ("on_cancel", "denied", "outcome"),
    [("stop", False, "stopped"), ("stop", True, "started"), ("keep", False, "started")],
)
async def test_what_is_found_after_a_cancel(
    local: LocalECS,
    client: aioecs.Client,
    reconciler: HeldReconciler,
    fired: asyncio.Event,
    on_cancel: Any,
    denied: bool,
    outcome: str,
) -> None:
    """A task that is found when nobody wants it any more is stopped if that is the policy, and otherwise the result."""
    lies_about(local, *local.instance_arns)
    if denied:
        local.engine.denied.add("StopTask")
    token = CancelToken()
    placement = asyncio.create_task(
        client.place_tasks(DEMO, token, count=2, confirm_refusals=True, on_cancel=on_cancel)
    )
    await reconciler.come.wait()
    token.cancel()
    await fired.wait()
    reconciler.gate.set()
    results = await starts_from(placement)
    assert came_to(results.starts) == {outcome: 2}
    assert is_true(local, results.starts)


async def test_a_caller_that_waits_no_longer(local: LocalECS, reconciler: HeldReconciler) -> None:
    """Its result is what ECS said; what the lookup shows in the end is reported, once, and not moved."""
    lies_about(local, local.instance_arns[0])
    before = [local.instance_arns[1]]
    received: list[StartResult] = []

    def receive(starts: tuple[StartResult, ...], _: str | None) -> None:
        received.extend(starts)

    settings: dict[str, Any] = {
        "timeouts": aioecs.Timeouts(settle=0.01),
        "on_settled": receive,
        "on_cancel": "keep",
    }
    async with client_of(local, **settings) as client:
        before_the_first(client, lambda: fill(local, *before))
        token = CancelToken()
        placement = asyncio.create_task(client.place_tasks(DEMO, token, count=3, confirm_refusals=True))
        await reconciler.come.wait()
        token.cancel()
        results = await starts_from(placement)
        assert came_to(results.starts) == {"started": 1, "refused": 2}
        reconciler.gate.set()
        await until(lambda: len(received) == 2)
    assert came_to(received) == {"started": 1, "refused": 1}
    assert local.truth.requests["StartTask"] == 2  # that of the others is one


async def test_left_early_while_it_confirms(local: LocalECS, client: aioecs.Client, reconciler: HeldReconciler) -> None:
    """Nothing more is placed for a caller that has gone, and the counts still add up."""
    before_the_first(client, lambda: fill(local, local.instance_arns[0]))
    async with client.batch() as batch:
        stream, drawn = await open_placement(
            session_of(batch), DEMO, 3, None, PlacementOptions(Spread(), (), None, 0.0, confirm_refusals=True)
        )
        async with aclosing(stream.starts(drawn)) as starts:
            async for _ in starts:
                await reconciler.come.wait()
                break
        reconciler.gate.set()
        await until(lambda: batch.statistics().refused == 1)
        await session_of(batch).engine.idle()
        statistics = batch.statistics()
        assert (statistics.requested, statistics.started, statistics.refused) == (3, 1, 1)
        assert statistics.stopped == 1, "it had settled, and its caller was not given it"
    assert len(local.truth.running()) == 2  # that of the others is one


@pytest.mark.parametrize(("on_cancel", "running"), [("stop", 1), ("keep", 3)])
async def test_what_is_found_for_a_caller_that_has_gone(
    local: LocalECS, client: aioecs.Client, reconciler: HeldReconciler, on_cancel: Any, running: int
) -> None:
    """Its task is stopped if that is the policy, as that of any start that was left: only what was yielded runs."""
    lies_about(local, local.instance_arns[0])
    options = PlacementOptions(Spread(), (), None, 0.0, confirm_refusals=True)
    async with client.batch(on_cancel=on_cancel) as batch:
        stream, drawn = await open_placement(session_of(batch), DEMO, 3, None, options)
        async with aclosing(stream.starts(drawn)) as starts:
            async for _ in starts:
                await reconciler.come.wait()
                break
        reconciler.gate.set()
        await until(lambda: batch.statistics().started + batch.statistics().stopped == 3)
    assert batch.statistics().requested == 3
    assert len(local.truth.running()) == batch.statistics().started == running


async def test_a_confirmation_that_never_begins(
    local: LocalECS, client: aioecs.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's tasks are cancelled in the very step that begins it: the start has its result, which is refused."""
    tasks = client._core().background_tasks
    own = tasks.own

    def own_cancelled(work: Any, name: str, **more: Any) -> Any:
        task = own(work, name, **more)
        if name == "aioecs confirms a refusal":
            task.cancel()
        return task

    monkeypatch.setattr(tasks, "own", own_cancelled)
    before_the_first(client, lambda: fill(local, *local.instance_arns))
    async with asyncio.timeout(10):
        report = await client.place_tasks(DEMO, count=3, confirm_refusals=True)
    assert adds_up(report, 3)
    assert reasons(report.starts) == {"RESOURCE:CPU": 3}


async def test_left_early_while_some_wait_for_capacity() -> None:
    """They were never sent, and are counted so."""
    async with one_place() as local, client_of(local) as client, client.batch() as batch:
        stream, drawn = await open_placement(
            session_of(batch), DEMO, 3, None, PlacementOptions(Spread(), (), None, 600.0, confirm_refusals=False)
        )
        async with aclosing(stream.starts(drawn)) as starts:
            await anext(starts)
        statistics = batch.statistics()
        assert (statistics.requested, statistics.started, statistics.not_sent) == (3, 1, 2)


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", [DEMO.replace(container_instances=["i1"]), DEMO.replace(task_definition="none")])
async def test_a_template_that_does_not_do(local: LocalECS, client: aioecs.Client, template: StartTaskRequest) -> None:
    """It is refused as a whole, whichever gate it comes through, and nothing is sent."""
    with pytest.raises(ECSError):
        await client.place_tasks(template, count=3)
    async with client.batch() as batch:
        with pytest.raises(ECSError):
            await anext(batch.place_tasks(template, count=3))
    assert not local.truth.requests["StartTask"]


@pytest.mark.parametrize("count", [0, -1, True, 2.0, "3"])
async def test_a_count_that_is_none(local: LocalECS, client: aioecs.Client, count: Any) -> None:
    """Nothing is read, and nothing sent."""
    with pytest.raises(InvalidRequest, match="count"):
        await client.place_tasks(DEMO, count=count)
    assert not local.truth.requests


async def test_an_error_that_would_meet_what_waits_for_capacity() -> None:
    """It isn't placed any more, and says why."""
    async with one_place() as local, client_of(local) as client:
        local.engine.denied.add("StartTask")
        report = await client.place_tasks(DEMO, count=3, wait_for_capacity=600)
        assert adds_up(report, 3)
        assert came_to(report.starts) == {"refused": 1, "not_sent": 2}
        assert all(isinstance(start.error, AccessDeniedException) for start in report.starts)


async def test_an_error_that_would_meet_them_all(local: LocalECS) -> None:
    """The others are not sent, what found no capacity and what was never drawn among it, and says why."""
    async with one_place(100) as local, client_of(local, max_in_flight=1) as client:
        local.engine.denied.add("StartTask")
        report = await client.place_tasks(DEMO, count=3000)
        assert adds_up(report, 3000)
        assert local.truth.requests["StartTask"] <= 3
        assert set(came_to(report.starts)) <= {"refused", "not_sent"}
        assert sum(isinstance(start.error, AccessDeniedException) for start in report.starts) >= 2900
