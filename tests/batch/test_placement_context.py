"""placement_context: what a template's task takes, and where there may be room for it; over ECS in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from engine_transport import EngineTransport
from fake_transport import FakeTransport, make_core
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import DistinctInstance, MemberOf, Spread, StartTaskRequest
from aioecs._batch.placement_context import Layout, PlacementOptions, Survey
from aioecs._calls.call_preparation import Preparer
from aioecs._logic.placement.demand import Demand
from aioecs._model.attempt import Answered, Attempt
from aioecs._transport.transport import SentMarker
from aioecs.errors import AccessDeniedException, ClientException, ClusterNotFoundException, ECSError, InvalidRequest

DEMO = StartTaskRequest(task_definition="demo")
READS = ["DescribeTaskDefinition", "ListContainerInstances", "DescribeContainerInstances"]


def a_wish(**more: Any) -> PlacementOptions:
    """PlacementOptions for the usual."""
    given: dict[str, Any] = {"constraints": (), "instances": None, "wait_for_capacity": 0.0, "confirm_refusals": False}
    return PlacementOptions(placement=Spread(), **{**given, **more})


def a_survey(**more: Any) -> tuple[Survey, Preparer, list[str]]:
    """Make one over an ECS in memory; the list has the operations that it was asked for."""
    port = EngineTransport(**more)
    asked: list[str] = []
    answer = port.engine.answer

    def noted(operation: str, request: Any) -> Any:
        asked.append(operation)
        return answer(operation, request)

    port.engine.answer = noted  # type: ignore[method-assign,assignment]
    port.engine.add_cluster("other")
    port.engine.add_instances(1, cluster="other")
    preparer = Preparer(make_core(port), region="us-east-1", paced=False, tag_tokens=False)  # type: ignore[arg-type]
    return Survey(preparer), preparer, asked


def test_it_finds_out_what_a_task_takes_and_who_is_there() -> None:
    """The definition, with the template's overrides, and the instances; nothing is confirmed unless that is wished."""

    async def main() -> None:
        survey, preparer, asked = a_survey()
        template = DEMO.replace(overrides=aioecs.TaskOverride(cpu="512"))
        wish = a_wish()
        layout = await survey.lay_out(template, wish)
        assert asked == READS
        assert (layout.placer.demand.cpu, layout.placer.demand.memory) == (512, 10)
        assert layout.placer.placement is wish.placement
        assert layout.placer.capacity_model is layout.inventory.capacity_model
        assert len(arns(layout)) == 1
        assert layout.confirm is None
        wished = await survey.lay_out(template, a_wish(confirm_refusals=True))
        assert wished.confirm is preparer.reconciler(None)

    run_in_virtual_time(main())


def arns(layout: Layout) -> list[str]:
    """Return whom its inventory has."""
    return sorted(room.host.arn for room in layout.inventory.capacity_model.rooms.values())


@pytest.mark.parametrize(
    ("template", "wish", "shared"),
    [
        (DEMO, {}, True),
        (DEMO.replace(task_definition="broken"), {}, True),
        (DEMO, {"constraints": (DistinctInstance(),)}, True),
        (DEMO, {"wait_for_capacity": 9.0, "confirm_refusals": True}, True),
        (DEMO.replace(cluster="other"), {}, False),
        (DEMO, {"constraints": (MemberOf("agentConnected == true"),)}, False),
        (DEMO, {"instances": ["0" * 32]}, False),
        (DEMO, {"instances": []}, False),
    ],
)
def test_who_asks_alike_shares_an_inventory(template: StartTaskRequest, wish: dict[str, Any], shared: bool) -> None:
    """Alike is: of the same cluster, through the same filter and of the same instances, whatever is to be placed."""

    async def main() -> None:
        survey, _, asked = a_survey()
        first = await survey.lay_out(DEMO, a_wish())
        for _ in range(2):
            asked.clear()
            layout = await survey.lay_out(template, a_wish(**wish))
            assert (layout.inventory is first.inventory) is shared
            assert layout.placer is not first.placer
        assert asked == READS[:1], "the second one of a kind needs no look at the instances"

    run_in_virtual_time(main())


def test_what_the_definition_asks_of_its_instance_is_a_constraint() -> None:
    """ECS evaluates it, together with the caller's own."""

    async def main() -> None:
        survey, preparer, _ = a_survey()
        engine = preparer.core.transport.engine  # type: ignore[attr-defined]
        few = {"type": "memberOf", "expression": "attribute:few exists"}
        engine.add_task_definition("choosy", placementConstraints=[few])
        [here] = engine.add_instances(1, attributes={"few": "", "good": ""})
        engine.add_instances(1, attributes={"few": ""})
        choosy = DEMO.replace(task_definition="choosy")
        assert len(arns(await survey.lay_out(choosy, a_wish()))) == 2
        wish = a_wish(constraints=(MemberOf("attribute:good exists"),))
        assert arns(await survey.lay_out(choosy, wish)) == [here]

    run_in_virtual_time(main())


def test_a_definition_that_is_left_out_of_its_answer() -> None:
    """It counts as one that takes nothing: ECS has the last word."""

    async def nothing(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Answered(aioecs.DescribeTaskDefinitionResponse())

    async def nobody(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Answered(aioecs.ListContainerInstancesResponse())

    async def main() -> None:
        port = FakeTransport(describe_task_definition=nothing, list_container_instances=nobody)
        preparer = Preparer(make_core(port), region=None, paced=False, tag_tokens=False)
        layout = await Survey(preparer).lay_out(DEMO, a_wish())
        assert (layout.placer.demand, arns(layout)) == (Demand(), [])

    run_in_virtual_time(main())


# What can't be laid out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "error", "asked"),
    [
        ("demo", InvalidRequest, []),
        (DEMO.replace(container_instances=["i1"]), InvalidRequest, []),
        (DEMO.replace(started_by="x" * 37), InvalidRequest, []),
        (DEMO.replace(cluster="arn:aws:ecs:eu-west-1:123456789012:cluster/c"), InvalidRequest, []),
        (DEMO.replace(task_definition="none"), ClientException, READS[:1]),
        (DEMO.replace(cluster="none"), ClusterNotFoundException, READS[:2]),
    ],
)
def test_a_template_that_does_not_do(template: Any, error: type[ECSError], asked: list[str]) -> None:
    """It is refused as a whole, as soon as that is known; a template names no instances."""

    async def main() -> None:
        survey, _, heard = a_survey()
        with pytest.raises(error):
            await survey.lay_out(template, a_wish())
        assert heard == asked

    run_in_virtual_time(main())


@pytest.mark.parametrize("operation", READS)
def test_what_may_not_be_read(operation: str) -> None:
    """The error is told, and once it may be read, all is as if nothing had been."""

    async def main() -> None:
        survey, preparer, _ = a_survey(denied=(operation,))
        with pytest.raises(AccessDeniedException):
            await survey.lay_out(DEMO, a_wish())
        preparer.core.transport.engine.denied.clear()  # type: ignore[attr-defined]
        assert len(arns(await survey.lay_out(DEMO, a_wish()))) == 1

    run_in_virtual_time(main())
