"""inventory: the hosts of a cluster, read from a local ECS over real sockets, remembered and renewed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import attrs
import pytest
from aiobotocore.session import get_session

import aioecs
from aioecs import StartTaskRequest
from aioecs._batch.placement.inventory import WIDTH, Inventory, filter_of, load
from aioecs._logic.placement.demand import Demand, demand
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs._logic.placement.placer import Placer
from aioecs._model.attempt import Attempt
from aioecs._model.codec.shape import Shape
from aioecs._model.placement import Constraint, DistinctInstance, MemberOf, Spread
from aioecs._runtime.client_core import Core
from aioecs._transport.transport import Operation, SentMarker, Transport
from aioecs.errors import (
    AccessDeniedException,
    ClientStateError,
    ClusterNotFoundException,
    ECSServiceError,
    InvalidParameterException,
)
from aioecs.testing import Fault, LocalECS
from aioecs.types import ContainerInstance

R = TypeVar("R", bound=Shape)
T = TypeVar("T")

SESSION = get_session()  # its loader keeps the service models that it has read


class Gate:
    """A port before the real one: it lets requests through while it is open, and knows how many are at it."""

    def __init__(self, port: Transport) -> None:
        self.port = port
        self.open = asyncio.Event()
        self.open.set()
        self.come = asyncio.Event()
        self.within = self.most = 0

    endpoint_url, region, partition = "", "", ""

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send it, once the gate is open."""
        self.within += 1
        self.most = max(self.most, self.within)
        self.come.set()
        try:
            await self.open.wait()
            return await self.port.attempt(operation, request, sent_marker)
        finally:
            self.within -= 1

    async def shut(self) -> None:
        """Shut it, and forget who came before."""
        self.open.clear()
        self.come.clear()


@pytest.fixture
async def client(local: LocalECS) -> AsyncIterator[aioecs.Client]:
    """Open a client that doesn't rest long."""
    access: dict[str, Any] = {**local.client_kwargs(), "session": SESSION}
    async with aioecs.Client(**access, retries=aioecs.Retries(initial_backoff=0.001)) as client:
        yield client


@pytest.fixture
async def gate(client: aioecs.Client) -> Gate:
    """Put a gate before the port of the client."""
    return Gate(client._core().transport)


@pytest.fixture
async def core(client: aioecs.Client, gate: Gate) -> Core:
    """Return the inside of the client, with the gate in it."""
    return attrs.evolve(client._core(), transport=gate)


def names(instances: list[ContainerInstance]) -> set[str]:
    """Return the ARNs."""
    return {instance.container_instance_arn or "" for instance in instances}


async def ask(*askers: Coroutine[Any, Any, T]) -> list[asyncio.Task[T]]:
    """Begin to ask, all at the same time."""
    asked = [asyncio.create_task(caller) for caller in askers]
    await asyncio.sleep(0)
    return asked


def cancel_at_the_end_of_the_load(core: Core, caller: asyncio.Task[Any]) -> None:
    """Cancel who asked in the same round of the loop in which the load ends."""
    (under_way,) = core.background_tasks._tasks
    under_way.add_done_callback(lambda _: caller.cancel())


# Filters -------------------------------------------------------------------------------------------------------------

A, B = "attribute:rack == a", "attribute:rack == b"


@pytest.mark.parametrize(
    ("expressions", "joined"),
    [
        ([], None),
        ([A], A),
        ([f"{A} or {B}"], f"{A} or {B}"),
        ([f"  {A} "], A),
        ([A, A], A),
        ([A, B], f"{A} and {B}"),
        ([f"{A} or {B}", B], f"({A} or {B}) and {B}"),
        ([f"{A}||{B}", f"{A} OR {B}"], f"({A}||{B}) and ({A} OR {B})"),
        ([f"({A})or({B})", A], f"(({A})or({B})) and {A}"),
        (["attribute:rack == n-or-s", A], f"attribute:rack == n-or-s and {A}"),
    ],
)  # fmt: skip
def test_expressions_are_joined_by_and(expressions: list[str], joined: str | None) -> None:
    """In parentheses where there is an `or`, and there only: ECS takes none around a single expression."""
    constraints: list[Constraint] = [DistinctInstance(), *map(MemberOf, expressions)]
    assert filter_of(constraints) == joined


# Loading -------------------------------------------------------------------------------------------------------------


async def test_all_active_instances_are_described(local: LocalECS, core: Core, gate: Gate) -> None:
    """Page by page, by hundreds, four reads at a time; draining and deregistered ones are left out."""
    local.engine.add_instances(997)
    local.engine.drain(local.instance_arns[500])
    local.engine.deregister_instance(local.instance_arns[600])
    local.engine.set_agent(local.instance_arns[700], connected=False)
    found = await load(core, None)
    active = set(local.instance_arns) - {local.instance_arns[500]}
    assert (len(found), names(found)) == (998, active)
    assert {instance.status for instance in found} == {"ACTIVE"}
    assert [instance.agent_connected for instance in found].count(False) == 1
    assert local.truth.requests == {"ListContainerInstances": 10, "DescribeContainerInstances": 10}
    assert gate.most == WIDTH


async def test_expressions_are_evaluated_by_ecs(local: LocalECS, core: Core) -> None:
    """All of them together, or what a definition and a caller ask for would be more than each alone."""
    red = local.engine.add_instances(2, attributes={"colour": "red", "floor": "1"})
    blue = local.engine.add_instances(2, attributes={"colour": "blue", "floor": "1"})
    local.engine.add_instances(2, attributes={"colour": "red", "floor": "2"})
    constraints = [MemberOf("attribute:colour == red or attribute:colour == blue"), MemberOf("attribute:floor == 1")]
    assert names(await load(core, "default", constraints=constraints)) == {*red, *blue}
    assert names(await load(core, "default", constraints=[MemberOf("attribute:colour == green")])) == set()
    assert local.truth.requests["DescribeContainerInstances"] == 1


async def test_named_instances_are_only_described(local: LocalECS, core: Core) -> None:
    """By id or by ARN, each once, whatever their status; one that ECS doesn't know is MISSING."""
    first, second, third = local.instance_arns
    local.engine.drain(second)
    named = [first, first.rpartition("/")[2], second.rpartition("/")[2], third[:-4] + "gone"]
    found = await load(core, None, instances=named)
    status = {instance.container_instance_arn: instance.status for instance in found}
    assert status == {first: "ACTIVE", second: "DRAINING", third[:-4] + "gone": "MISSING"}
    assert local.truth.requests == {"DescribeContainerInstances": 1}
    assert Placer(CapacityModel(), Demand(), Spread(), (), random.random).choose() is None


async def test_named_instances_are_filtered(local: LocalECS, core: Core) -> None:
    """Where there are expressions, those that match, and that can take tasks."""
    first, second = local.engine.add_instances(2, attributes={"colour": "red"})
    local.engine.drain(second)
    red = [MemberOf("attribute:colour == red")]
    assert names(await load(core, None, constraints=red, instances=[first, second, *local.instance_arns[:2]])) == {
        first
    }


@pytest.mark.parametrize("constraints", [[], [MemberOf("agentConnected == true")]])
async def test_nothing_named_is_nothing_asked(local: LocalECS, core: Core, constraints: list[Constraint]) -> None:
    """An empty choice is no choice among all."""
    assert await load(core, None, constraints=constraints, instances=[]) == []
    assert not local.truth.requests


async def test_throttles_and_faults_are_waited_out(local: LocalECS, core: Core) -> None:
    """Reads do no harm twice."""
    local.engine.add_instances(197)
    local.faults.add(
        Fault("throttle", operation="ListContainerInstances", times=3),
        Fault("reset", operation="DescribeContainerInstances", times=1),
        Fault("throttle", operation="DescribeContainerInstances", times=3),
        Fault("error", operation="DescribeContainerInstances", times=1),
    )
    assert len(await load(core, None)) == 200
    assert local.truth.requests["DescribeContainerInstances"] == 2 + 5


async def test_what_ecs_says_is_said(local: LocalECS, core: Core) -> None:
    """Its errors pass through as they are."""
    with pytest.raises(ClusterNotFoundException):
        await load(core, "elsewhere")
    with pytest.raises(InvalidParameterException, match="Invalid filter expression"):
        await load(core, None, constraints=[MemberOf("colour is red")])
    local.engine.denied.add("DescribeContainerInstances")
    with pytest.raises(AccessDeniedException):
        await load(core, None)


async def test_one_error_ends_the_reads_that_are_not_begun(local: LocalECS, core: Core) -> None:
    """There is nothing to be had from the rest."""
    local.engine.add_instances(997)
    local.engine.denied.add("DescribeContainerInstances")
    with pytest.raises(AccessDeniedException):
        await load(core, None)
    assert local.truth.requests["DescribeContainerInstances"] == WIDTH


# Remembering ---------------------------------------------------------------------------------------------------------


async def test_a_snapshot_is_remembered_for_a_while(local: LocalECS, core: Core) -> None:
    """Until it is too old: then what has come and gone is seen."""
    inventory = Inventory(core, None)
    assert inventory.age == float("inf")
    capacity_model = await inventory.current()
    assert len(capacity_model.capacities) == 3
    local.engine.add_instances()
    assert await inventory.current() is capacity_model
    assert len(capacity_model.capacities) == 3
    assert 0 <= inventory.age < 10
    inventory._taken_at -= inventory.max_age
    assert await inventory.current() is capacity_model
    assert len(capacity_model.capacities) == 4
    assert local.truth.requests["ListContainerInstances"] == 2
    again = Inventory(core, None, max_age=0)
    await again.current()
    await again.current()
    assert local.truth.requests["ListContainerInstances"] == 4


async def test_a_surprise_renews_it(local: LocalECS, core: Core) -> None:
    """Whatever its age; constraints and named instances go with every load."""
    first, second = local.engine.add_instances(2, attributes={"colour": "red"})
    inventory = Inventory(core, "default", constraints=[MemberOf("attribute:colour == red")], instances=[first])
    capacity_model = await inventory.current()
    assert [capacity.host.arn for capacity in capacity_model.capacities.values()] == [first]
    local.engine.set_agent(first, connected=False)
    assert await inventory.renewed() is capacity_model
    assert [capacity.host.agent for capacity in capacity_model.capacities.values()] == [False]
    assert second.rpartition("/")[2] not in capacity_model.capacities


async def test_all_who_ask_share_one_load(local: LocalECS, core: Core, gate: Gate) -> None:
    """However many, and by whichever way, if none has seen anything begin yet."""
    inventory = Inventory(core, None)
    await gate.shut()
    asked = await ask(*(inventory.current() for _ in range(5)), *(inventory.current() for _ in range(5)))
    await gate.come.wait()
    gate.open.set()
    assert set(await asyncio.gather(*asked)) == {inventory.capacity_model}
    assert local.truth.requests == {"ListContainerInstances": 1, "DescribeContainerInstances": 1}


async def test_who_saw_something_newer_waits_for_the_next(local: LocalECS, core: Core, gate: Gate) -> None:
    """A load that was begun before the surprise may not show it: the next one is shared by all who were surprised."""
    inventory = Inventory(core, None)
    await gate.shut()
    (first,) = await ask(inventory.current())
    await gate.come.wait()
    surprised = await ask(*(inventory.renewed() for _ in range(3)), inventory.current())
    gate.open.set()
    await asyncio.gather(first, *surprised)
    assert local.truth.requests["ListContainerInstances"] == 2


async def test_a_cancel_leaves_the_load_to_the_others(local: LocalECS, core: Core, gate: Gate) -> None:
    """Also that of the one who began it."""
    inventory = Inventory(core, None)
    await gate.shut()
    first, second = await ask(inventory.current(), inventory.current())
    await gate.come.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert len((await second).capacities) == 3
    assert local.truth.requests["ListContainerInstances"] == 1


async def test_the_last_cancel_ends_the_load(local: LocalECS, core: Core, gate: Gate) -> None:
    """It is in nobody's way: who asks then begins another, at once."""
    inventory = Inventory(core, None)
    await gate.shut()
    asked = await ask(inventory.current(), inventory.current())
    await gate.come.wait()
    for one in asked:
        one.cancel()
    (later,) = await ask(inventory.current())
    for one in asked:
        with pytest.raises(asyncio.CancelledError):
            await one
    gate.open.set()
    assert len((await later).capacities) == 3
    assert local.truth.requests["ListContainerInstances"] == 1
    assert len(core.background_tasks) == 0


async def test_a_cancel_after_the_end_cuts_nothing(core: Core, gate: Gate) -> None:
    """The snapshot is there for whoever asks next."""
    inventory = Inventory(core, None)
    (only,) = await ask(inventory.current())
    cancel_at_the_end_of_the_load(core, only)
    with pytest.raises(asyncio.CancelledError):
        await only
    await gate.shut()
    assert len((await inventory.current()).capacities) == 3


async def test_all_callers_get_an_error(local: LocalECS, core: Core, gate: Gate) -> None:
    """The snapshot stays as it was, and who asks next tries again."""
    inventory = Inventory(core, None)
    await inventory.current()
    local.engine.denied.add("ListContainerInstances")
    await gate.shut()
    asked = await ask(inventory.renewed(), inventory.renewed())
    gate.open.set()
    for one in asked:
        with pytest.raises(AccessDeniedException):
            await one
    assert len((await inventory.current()).capacities) == 3
    local.engine.denied.clear()
    await inventory.renewed()
    assert local.truth.requests["ListContainerInstances"] == 3


async def test_an_error_of_an_earlier_load_is_not_for_who_wants_the_next(
    local: LocalECS, core: Core, gate: Gate
) -> None:
    """It has a load of its own, which may go well."""
    inventory = Inventory(core, None)
    local.faults.add(Fault("error", operation="ListContainerInstances", code="ClientException", status=400))
    await gate.shut()
    (first,) = await ask(inventory.current())
    await gate.come.wait()
    (second,) = await ask(inventory.renewed())
    gate.open.set()
    with pytest.raises(ECSServiceError):
        await first
    assert len((await second).capacities) == 3


async def test_an_error_that_nobody_waits_for_is_no_noise(local: LocalECS, core: Core, gate: Gate) -> None:
    """The last caller was cancelled as the answer came: warnings are errors here."""
    inventory = Inventory(core, None)
    local.engine.denied.add("ListContainerInstances")
    (only,) = await ask(inventory.current())
    cancel_at_the_end_of_the_load(core, only)
    with pytest.raises(asyncio.CancelledError):
        await only


async def test_the_end_of_the_client_ends_the_load(core: Core, gate: Gate) -> None:
    """Who waits for it gets that error, and is not cancelled."""
    inventory = Inventory(core, None)
    await gate.shut()
    (only,) = await ask(inventory.current())
    await gate.come.wait()
    core.background_tasks.cancel()
    with pytest.raises(ClientStateError, match="closed while it listed"):
        await only


async def test_what_lands_during_a_load_stays_debited(local: LocalECS, core: Core, gate: Gate) -> None:
    """The snapshot may have been taken before it."""
    inventory = Inventory(core, None)
    capacity_model = await inventory.current()
    placer = Placer(capacity_model, Demand(cpu=4096, memory=1), Spread(), (), random.Random(1).random)
    first, second, third = placer.choose() or "", placer.choose() or "", placer.choose() or ""
    placer.started(first)
    await gate.shut()
    (renewed,) = await ask(inventory.renewed())
    await gate.come.wait()
    placer.started(second)
    gate.open.set()
    await renewed
    placer.unsent(third)
    assert {placer.choose(), placer.choose()} == {first, third}  # which ECS shows to be free, for nothing runs there
    assert placer.choose() is None
    assert placer.stale
    await inventory.renewed()
    assert placer.choose() == second


# Placing -------------------------------------------------------------------------------------------------------------


async def place(client: aioecs.Client, inventory: Inventory, placer: Placer, count: int) -> Counter[str]:
    """Place so many, ten a call, as the batch engine does; return where they run."""
    placed: Counter[str] = Counter()
    while count:
        chosen = [instance for _ in range(min(count, 10)) if (instance := placer.choose()) is not None]
        if not chosen:
            if not placer.stale:
                break
            await inventory.renewed()
            continue
        request = StartTaskRequest(task_definition="demo", container_instances=chosen)
        answer = await client.start_task(request)
        for task in answer.tasks:
            placer.started(task.container_instance_arn or "")
            placed[task.container_instance_arn or ""] += 1
        for failure in answer.failures:
            placer.refused(failure.arn or "", failure.reason)
        count -= len(answer.tasks)
    return placed


async def test_starts_are_spread_over_the_hosts_that_can_take_them() -> None:
    """The measure of it: 200 on 30 hosts less four, within two of even; 100 more on 60 places: 60 run."""
    async with LocalECS(instances=30, cpu=100) as local:
        local.engine.add_task_definition("demo", cpu=10, memory=10)
        away = set(local.instance_arns[:4])
        for arn in local.instance_arns[:2]:
            local.engine.set_agent(arn, connected=False)
        for arn in local.instance_arns[2:4]:
            local.engine.drain(arn)
        access: dict[str, Any] = {**local.client_kwargs(), "session": SESSION}
        async with aioecs.Client(**access) as ecs:
            definition = await ecs.describe_task_definition(
                aioecs.DescribeTaskDefinitionRequest(task_definition="demo")
            )
            assert definition.task_definition is not None
            wanted = demand(definition.task_definition)
            inventory = Inventory(ecs._core(), None)
            capacity_model = await inventory.current()
            placer = Placer(capacity_model, wanted, Spread(), (), random.Random(1).random)
            placed = await place(ecs, inventory, placer, 200)
            assert (placed.total(), len(placed), away & set(placed)) == (200, 26, set())
            assert max(placed.values()) - min(placed.values()) <= 2
            another = Placer(capacity_model, wanted, Spread(), (), random.Random(2).random)
            assert another.capacity() == 60
            assert (await place(ecs, inventory, another, 100)).total() == 60
            assert another.excluded == {"RESOURCE:CPU": 26, "AGENT": 2}
        assert len(local.truth.running()) == 260
        assert local.truth.requests["DescribeContainerInstances"] == 1
        assert not any(call.failures for call in local.truth.calls("StartTask"))


async def test_what_the_snapshot_did_not_show_is_learnt(
    local: LocalECS, client: aioecs.Client, core: Core, gate: Gate
) -> None:
    """A host that lost its agent, one that was deregistered and one that others filled: the starts go elsewhere."""
    inventory = Inventory(core, None)
    capacity_model = await inventory.current()
    agentless, gone, filled = local.instance_arns
    new = local.engine.add_instances(2)
    placer = Placer(capacity_model, Demand(cpu=10, memory=10), Spread(), (), random.Random(3).random)
    local.engine.set_agent(agentless, connected=False)
    local.engine.deregister_instance(gone)
    local.engine.add_task_definition("large", cpu=4090)
    await client.start_task(StartTaskRequest(task_definition="large", container_instances=[filled]))
    placed = await place(client, inventory, placer, 20)
    assert placed == {new[0]: 10, new[1]: 10}
    assert placer.excluded == {"AGENT": 1, "RESOURCE:CPU": 1}
    assert local.truth.requests["ListContainerInstances"] == 2
