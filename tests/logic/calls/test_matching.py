"""matching: which task belongs to which start."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aioecs
from aioecs import Failure, StartTaskRequest, Task
from aioecs._logic.calls import matching
from aioecs._logic.calls.matching import StartState, adopt, assign_answer, oldest_first
from aioecs._logic.calls.token import stop_reason
from aioecs.errors import ClientException
from tests.effort import EFFORT


def start_states(instances: str) -> list[StartState]:
    """Make an open start on each instance, named by a letter."""
    return [StartState(instance) for instance in instances]


def task(arn: str, instance: str = "a", at: float | None = 0.0, definition: str = "demo:1") -> Task:
    """Make a task as ECS would show it."""
    return Task(
        task_arn=arn,
        container_instance_arn=f"arn:aws:ecs:eu-west-1:123456789012:container-instance/c/{instance}",
        created_at=None if at is None else datetime.fromtimestamp(at, UTC),
        task_definition_arn=f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{definition}",
    )


def failure(instance: str, reason: str = "AGENT") -> Failure:
    """Make an entry of `failures`."""
    return Failure(arn=f"arn:aws:ecs:eu-west-1:123456789012:container-instance/c/{instance}", reason=reason)


def seen(starts: list[StartState]) -> list[str | None]:
    """Handler of each start what it has: its task's ARN, its failure's reason, or None."""
    return [
        state.task.task_arn if state.task is not None else state.failure.reason if state.failure is not None else None
        for state in starts
    ]


# --------------------------------------------------------------------------------------------------- assign_answer


@pytest.mark.parametrize(
    ("instances", "tasks", "failures", "expected"),
    [
        pytest.param("ab", [task("2", "b"), task("1", "a")], [], ["1", "2"], id="in any order"),
        pytest.param("aa", [task("2", at=2), task("1", at=1)], [], ["1", "2"], id="repeats, the eldest first"),
        pytest.param("aa", [task("1")], [failure("a")], ["1", "AGENT"], id="a task and a refusal on one instance"),
        pytest.param("ab", [task("1", "b")], [failure("a")], ["AGENT", "1"], id="tasks beside refusals"),
        pytest.param("ab", [task("1")], [], ["1", None], id="not all reported"),
        pytest.param("a", [task("1", "z")], [], ["1"], id="an instance that nobody asked for"),
        pytest.param("a", [], [Failure(reason="MISSING")], ["MISSING"], id="a refusal without an ARN"),
        pytest.param("ab", [task("1", "z", 0), task("2", "a", 1)], [], ["2", "1"], id="strays come last"),
        pytest.param("ab", [task("1", "z")], [failure("a")], ["AGENT", "1"], id="strays come after refusals too"),
        pytest.param("a", [task("2", at=2), task("1", at=1)], [], ["1"], id="more than was asked for"),
        pytest.param("ab", [task("1", "a"), task("1", "a")], [], ["1", None], id="a task reported twice"),
        pytest.param("ab", [Task(), Task()], [], [None, None], id="tasks without an ARN are two"),
    ],
)
def test_answers(instances: str, tasks: list[Task], failures: list[Failure], expected: list[str | None]) -> None:
    """Tasks and refusals go to the starts of their instance; what fits nowhere goes to what is left."""
    starts = start_states(instances)
    assign_answer(starts, tasks, failures)
    assert seen(starts) == expected
    assert all(state.ours for state in starts if state.task is not None), "what an answer names this call has started"


def test_an_answer_leaves_alone_what_is_known() -> None:
    """A later answer fills what is open; a task that a start holds already is not given to another."""
    starts = start_states("abc")
    assign_answer(starts, [task("1", "a")], [failure("b")])
    assign_answer(starts, [task("1", "a"), task("2", "b")], [])
    assert seen(starts) == ["1", "AGENT", "2"]
    starts = start_states("a")
    starts[0].error = ClientException("no")
    assign_answer(starts, [task("1")], [])
    assert seen(starts) == [None]


def test_instances_are_known_by_the_last_part_of_their_name() -> None:
    """A request may name an instance by its ARN, new or old, or by its id; the answer names it by its ARN."""
    starts = start_states("")
    for name in (
        "a",
        "arn:aws:ecs:eu-west-1:123456789012:container-instance/b",
        "arn:aws:ecs:eu-west-1:123456789012:container-instance/c/d",
    ):
        starts.append(StartState(name))
    assign_answer(starts, [task("1", "d"), task("2", "b"), task("3", "a")], [])
    assert seen(starts) == ["3", "2", "1"]


# ------------------------------------------------------------------------------------------------------------- adopt


@pytest.mark.parametrize(
    ("instances", "found", "expected", "surplus"),
    [
        pytest.param("ab", [task("2", "b"), task("1", "a")], ["1", "2"], [], id="each on its own"),
        pytest.param("ab", [task("2", "b")], [None, "2"], [], id="what is missing stays open"),
        pytest.param("a", [task("2", at=2), task("1", at=1)], ["1"], ["2"], id="the eldest is kept"),
        pytest.param("a", [task("2", at=1), task("1", at=1)], ["1"], ["2"], id="of one moment, the smaller ARN"),
        pytest.param("a", [task("1", at=None), task("2", at=9)], ["2"], ["1"], id="without a time is the youngest"),
        pytest.param("aa", [task("1"), task("2"), task("3")], ["1", "2"], ["3"], id="repeats are counted"),
        pytest.param("a", [task("1", "z")], [None], [], id="an instance that nobody asked for is nobody's"),
        pytest.param("aa", [task("1"), task("1")], ["1", None], [], id="a task found twice"),
    ],
)
def test_adoptions(instances: str, found: list[Task], expected: list[str | None], surplus: list[str]) -> None:
    """Found tasks go to the starts of their instance, the eldest first; the rest is one too many."""
    starts = start_states(instances)
    over = adopt(starts, found, ours=False)
    assert seen(starts) == expected
    assert [one.task_arn for one in over] == surplus
    assert not any(state.ours for state in starts)


def test_a_held_task_competes_with_found_ones() -> None:
    """An elder task that shows late takes the place of a younger one, which is one too many then."""
    starts = start_states("ab")
    assign_answer(starts, [task("9", "a", at=9), task("8", "b", at=8)], [])
    over = adopt(starts, [task("1", "a", at=1)], ours=True)
    assert seen(starts) == ["1", "8"]
    assert [one.task_arn for one in over] == ["9"]
    assert adopt(starts, [task("1", "a", at=1), task("9", "a", at=9)], ours=True) == over, "and stays so"


def test_a_refused_start_is_given_a_task_last_of_all() -> None:
    """Of two starts on one instance, the ambiguous one comes first; a refusal is taken back if a task shows."""
    starts = start_states("aa")
    assign_answer(starts, [], [failure("a")])
    adopt(starts, [task("1")], ours=True)
    assert seen(starts) == ["AGENT", "1"]
    adopt(starts, [task("1"), task("2", at=1)], ours=True)
    assert seen(starts) == ["2", "1"]
    assert starts[0].failure is None

    starts = start_states("a")
    starts[0].error = ClientException("no")
    adopt(starts, [task("1")], ours=True)
    assert seen(starts) == ["1"]
    assert starts[0].error is None


def test_whose_a_task_is_stays_known() -> None:
    """A task that this call started stays ours when it is found again under a key; what is found first is not."""
    starts = start_states("ab")
    assign_answer(starts, [task("1", "a")], [])
    adopt(starts, [task("1", "a"), task("2", "b")], ours=False)
    assert [state.ours for state in starts] == [True, False]


def test_a_found_task_is_kept_as_it_is_now() -> None:
    """A task that has stopped since it was answered is shown stopped."""
    starts = start_states("a")
    assign_answer(starts, [task("1")], [])
    adopt(starts, [task("1").replace(desired_status="STOPPED")], ours=True)
    assert starts[0].task is not None
    assert starts[0].task.desired_status == "STOPPED"


def test_a_stray_answer_is_not_one_too_many_when_it_is_found() -> None:
    """A start that was answered with a task elsewhere holds on to it."""
    starts = start_states("a")
    assign_answer(starts, [task("1", "z")], [])
    assert adopt(starts, [task("1", "z")], ours=True) == []
    assert seen(starts) == ["1"]


def test_a_start_whose_task_was_stopped_takes_no_other() -> None:
    """What is found beside it is one too many, whatever its age; the stopped one is not taken for another."""
    starts = start_states("a")
    assign_answer(starts, [task("5", at=5)], [])
    starts[0].stopped = True
    over = adopt(starts, [task("5", at=5), task("1", at=1)], ours=True)
    assert seen(starts) == ["5"]
    assert [one.task_arn for one in over] == ["1"]


def test_a_start_that_was_never_sent_takes_no_task() -> None:
    """Of two starts on one instance one was dropped before the send: what is found is the other's."""
    starts = start_states("aa")
    starts[0].dropped = True
    adopt(starts, [task("1")], ours=True)
    assert seen(starts) == [None, "1"]
    starts = start_states("aa")
    starts[0].dropped = True
    assign_answer(starts, [task("1")], [])
    assert seen(starts) == [None, "1"]


# ---------------------------------------------------------------------------------- in whatever order, and repeatedly


def numbered(number: int, instance: str, at: int) -> Task:
    """Make a task whose ARN says all of it."""
    return task(f"t{number}-{instance}-{at}", instance, at)


TASKS = st.builds(numbered, st.integers(0, 3), st.sampled_from("abz"), st.integers(0, 2))
FAILURES = st.builds(failure, st.sampled_from("abz"))
STEPS = st.one_of(
    st.tuples(st.just("answer"), st.lists(TASKS, max_size=4), st.lists(FAILURES, max_size=2)),
    st.tuples(st.just("adopt"), st.lists(TASKS, max_size=6), st.booleans()),
    st.tuples(st.sampled_from(("stop", "drop")), st.integers(0, 5), st.none()),
)


def on(what: Task) -> str:
    """Return the instance of a task."""
    return (what.container_instance_arn or "").rpartition("/")[2]


def check_answer(starts: list[StartState], tasks: list[Task], failures: list[Failure]) -> None:
    """Answer, and see that nothing answered is dropped while a start is open."""
    held = Counter(id(state.failure) for state in starts)
    assign_answer(starts, tasks, failures)
    if not all(state.known for state in starts):
        assert {reported.task_arn for reported in tasks} <= {
            state.task.task_arn for state in starts if state.task is not None
        }
        gained = Counter(id(state.failure) for state in starts if state.failure is not None) - held
        assert gained.total() == len(failures)


def check_adopt(starts: list[StartState], found: list[Task], *, ours: bool) -> None:
    """Adopt, and see that the eldest are kept, and that doing it again changes nothing."""
    everywhere = {state.task.task_arn for state in starts if state.task is not None}
    expected: dict[str, list[str]] = {}
    for instance in {state.instance for state in starts}:
        mine = [state for state in starts if state.instance == instance and not (state.stopped or state.dropped)]
        changes = {one.task_arn: one for one in found if on(one) == instance and one.task_arn not in everywhere}
        rivals = oldest_first([*changes.values(), *(state.task for state in mine if state.task is not None)])
        expected[instance] = sorted(str(one.task_arn) for one in rivals[: len(mine)])
    surplus = adopt(starts, found, ours=ours)
    for instance, kept in expected.items():
        mine = [state for state in starts if state.instance == instance and not (state.stopped or state.dropped)]
        assert sorted(str(state.task.task_arn) for state in mine if state.task is not None) == kept
    after = seen(starts)
    assert not {one.task_arn for one in surplus} & set(after), "what is kept is not one too many"
    again = adopt(starts, found, ours=ours)
    assert seen(starts) == after
    known = {one.task_arn for one in found if on(one) in expected}
    assert {one.task_arn for one in again} == {one.task_arn for one in surplus if one.task_arn in known}


@settings(max_examples=200 * EFFORT, deadline=None)
@given(st.text("ab", min_size=1, max_size=6), st.lists(STEPS, max_size=6))
def test_no_task_is_lost_or_shared(instances: str, steps: list[tuple[str, Any, Any]]) -> None:
    """No task belongs to two starts, the oldest are kept, none is dropped, adopting twice is adopting once."""
    starts = start_states(instances)
    for step, what, more in steps:
        if step == "stop":
            state = starts[what % len(starts)]
            state.stopped = state.task is not None
        elif step == "drop":
            state = starts[what % len(starts)]
            state.dropped = not state.known
        elif step == "answer":
            check_answer(starts, what, more)
        else:
            check_adopt(starts, what, ours=more)
        held = [state.task.task_arn for state in starts if state.task is not None]
        assert len(held) == len(set(held)), "no task belongs to two starts"
        assert not any(state.dropped and state.task for state in starts), "what was never sent has no task"


@settings(max_examples=100 * EFFORT, deadline=None)
@given(st.text("ab", min_size=1, max_size=4), st.lists(TASKS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_tasks_show_is_immaterial(instances: str, found: list[Task], rng: random.Random) -> None:
    """One lookup or many, on any machine, keep the same tasks."""
    at_once, one_by_one = start_states(instances), start_states(instances)
    adopt(at_once, found, ours=True)
    shuffled = list(found)
    rng.shuffle(shuffled)
    for one in shuffled:
        adopt(one_by_one, [one], ours=True)
    assert sorted(map(str, seen(at_once))) == sorted(map(str, seen(one_by_one)))


# ----------------------------------------------------------------------------------------------------- what is nobody's


@pytest.mark.parametrize(
    ("stop_code", "reason", "expected"),
    [
        ("UserInitiated", stop_reason("t"), True),
        ("UserInitiated", stop_reason("another"), False),
        ("UserInitiated", "Task stopped by user", False),
        ("EssentialContainerExited", stop_reason("t"), False),
        (None, None, False),
    ],
)
def test_our_own_stops(stop_code: str | None, reason: str | None, expected: bool) -> None:
    """A task is withdrawn if a user stopped it with the very reason that aioecs gives for this token."""
    assert matching.withdrawn(Task(stop_code=stop_code, stopped_reason=reason), "t") is expected


@pytest.mark.parametrize(
    ("asked", "found", "strange"),
    [
        ("demo", task("1", definition="demo:7"), False),
        ("demo:7", task("1", definition="demo:7"), False),
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/demo:7", task("1", definition="demo:7"), False),
        ("demo:6", task("1", definition="demo:7"), True),
        ("dem", task("1", definition="demo:7"), True),
        ("other", task("1", definition="demo:7"), True),
        ("demo", task("1", "z", definition="demo:7"), True),
        ("demo", Task(), True),
    ],
)
def test_strangers(asked: str, found: Task, strange: bool) -> None:
    """A task of another definition, or on another instance, can't have been started by the request."""
    request = StartTaskRequest(task_definition=asked, container_instances=["a", "b"])
    assert matching.mismatches(request, iter([found])) == ([found] if strange else [])


def test_tasks_on_the_requests_instances() -> None:
    """Candidates are what stands where the request wanted to start something."""
    request = StartTaskRequest(task_definition="demo", container_instances=["a", "container-instance/c/b"])
    found = [task("1", "z"), task("2", "b"), task("3", "a"), Task(task_arn="4")]
    assert [one.task_arn for one in matching.on_its_instances(request, found)] == ["2", "3"]


def _overrides(job: str | None, **more: Any) -> aioecs.TaskOverride:
    environment = [aioecs.KeyValuePair(name="JOB", value=job), aioecs.KeyValuePair(name="A", value="1")] if job else []
    containers = [aioecs.ContainerOverride(name="main", environment=environment), aioecs.ContainerOverride(name="side")]
    return aioecs.TaskOverride(container_overrides=containers, **more)


@pytest.mark.parametrize(
    ("asked", "shown", "alike"),
    [
        (None, None, True),
        (None, _overrides(None), True),
        (_overrides("a"), None, True),
        (_overrides("a"), _overrides("a"), True),
        (_overrides("a"), _overrides("b"), False),
        (None, _overrides("b"), False),
        (_overrides("a"), _overrides(None), False),
        (_overrides("a", cpu="256"), _overrides("a"), False),
    ],
)
def test_overrides_that_are_alike_in_effect(
    asked: aioecs.TaskOverride | None, shown: aioecs.TaskOverride | None, alike: bool
) -> None:
    """Containers that override nothing don't count, and what ECS doesn't show can't differ."""
    assert matching.same_overrides(asked, shown) is alike
