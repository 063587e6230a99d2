"""size_estimate: what it vouches for breaks no rule, and what is usual it vouches for."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioecs._model import (
    ContainerOverride,
    InferenceAcceleratorOverride,
    KeyValuePair,
    RunTaskRequest,
    StartTaskRequest,
    Tag,
    TaskOverride,
    limits,
)
from aioecs._model.codec.plain import to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.codec.size_estimate import text
from aioecs.errors import InvalidRequest

SCALES = limits._SCALES
anything: Any = st.none() | st.text(max_size=6) | st.integers(-3, 300) | st.booleans() | st.just(["x"]) | st.floats()
texts: Any = st.text(max_size=40) | anything
pairs: Any = st.builds(KeyValuePair, name=texts, value=texts)
overrides: Any = st.builds(
    TaskOverride,
    container_overrides=st.lists(
        st.builds(ContainerOverride, name=texts, cpu=anything, environment=st.lists(pairs, max_size=3), command=texts),
        max_size=2,
    ),
    memory=texts,
    extra=st.just({}) | st.just({"newer": 1}),
)
requests: Any = st.builds(
    StartTaskRequest,
    task_definition=texts,
    container_instances=st.lists(st.text("ab1", max_size=3), max_size=12) | anything,
    started_by=texts,
    propagate_tags=st.just("TASK_DEFINITION") | anything,
    tags=st.none() | st.lists(st.builds(Tag, key=texts, value=texts), max_size=3),
    overrides=st.none() | overrides | anything,
    enable_execute_command=anything,
)


@settings(max_examples=400, deadline=None)
@given(requests, st.booleans())
def test_what_it_vouches_for_breaks_no_rule(request: StartTaskRequest, any_number: bool) -> None:
    """Of requests of all sorts, none that the closer look refuses is passed by the quick one."""
    if SCALES.weigh(request, any_number):
        limits._check_shape(request, "", any_number)


@settings(max_examples=100, deadline=None)
@given(st.lists(pairs, max_size=4))
def test_it_weighs_no_less_than_the_json(environment: list[KeyValuePair]) -> None:
    """What a value weighs is never less than its compact JSON has characters."""
    value = TaskOverride(container_overrides=[ContainerOverride(name="main", environment=environment)])
    weight = SCALES.weigh(value, False)
    assert not weight or weight >= len(json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False))


@pytest.mark.parametrize("held", ["", "plain", 'quoted "\\"', "\n\t\0", "é漢\U0001f600", "\x7f\u2028"])
def test_a_text_weighs_no_less_than_its_json(held: str) -> None:
    """Whatever has to be escaped is counted."""
    assert text(held) >= len(json.dumps(held, ensure_ascii=False))


@pytest.mark.parametrize(
    "usual",
    [
        StartTaskRequest(task_definition="demo", container_instances=["0a1b"]),
        StartTaskRequest(
            task_definition="demo",
            container_instances=["0a1b"],
            propagate_tags="TASK_DEFINITION",
            enable_execute_command=True,
            tags=[Tag(key="k", value="v")],
            overrides=TaskOverride(
                container_overrides=[
                    ContainerOverride(name="main", cpu=1, environment=[KeyValuePair(name="N", value="1")])
                ]
            ),
        ),
        RunTaskRequest(task_definition="demo", count=2),
    ],
)
def test_the_usual_is_vouched_for(usual: Shape) -> None:
    """No closer look is taken at what nearly everybody sends."""
    assert SCALES.weigh(usual, False)


def test_the_closer_look_has_the_last_word() -> None:
    """What is refused, what warns, and what is merely near a limit is not vouched for."""
    near = KeyValuePair(name="N", value='"' * 4050)  # 8,100 characters escaped, and some more around them
    held = TaskOverride(container_overrides=[ContainerOverride(name="main", environment=[near])])
    assert not SCALES.weigh(held.replace(memory="1" * 200), False)
    assert not SCALES.weigh(TaskOverride(inference_accelerator_overrides=[InferenceAcceleratorOverride()]), False)
    assert not SCALES.weigh(StartTaskRequest(task_definition="d", container_instances=()), False)
    with pytest.raises(InvalidRequest, match="tags"):
        limits.check(
            StartTaskRequest(task_definition="d", container_instances=["a"], tags=[Tag(key="k"), Tag(key="k")])
        )


def test_values_that_requests_share_weigh_the_same_each_time() -> None:
    """Whatever was weighed in between, and equal ones like themselves; one that breaks a rule is caught each time."""
    good = TaskOverride(container_overrides=[ContainerOverride(name="main", environment=[KeyValuePair(name="A")])])
    other, bad = TaskOverride(cpu="256"), TaskOverride(memory="x" * 9000)

    def weigh(held: TaskOverride) -> int:
        return SCALES.weigh(
            StartTaskRequest(task_definition="d", container_instances=["i"], overrides=held), any_number=False
        )

    alone = {id(held): weigh(held) for held in (good, other, bad)}
    assert [bool(weight) for weight in alone.values()] == [True, True, False]
    for held in (good, good, other, good, bad, bad, other, other, bad, good):
        assert weigh(held) == alone[id(held)]
    assert weigh(good.replace()) == alone[id(good)]


def test_nothing_that_was_weighed_is_kept() -> None:
    """There may be secrets in it."""
    held = TaskOverride(cpu="256")
    gone = weakref.ref(held)
    SCALES.weigh(StartTaskRequest(task_definition="d", container_instances=["i"], overrides=held), any_number=False)
    del held
    gc.collect()
    assert gone() is None
