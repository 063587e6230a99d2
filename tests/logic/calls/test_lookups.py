"""lookups: how many ambiguous calls are looked up with few reads."""

from __future__ import annotations

import pytest

from aioecs import Tag, Task
from aioecs._logic.calls.lookups import (
    AmbiguousCall,
    by_hundreds,
    costs_more,
    marks_of,
    pages_of,
    to_confirm,
)

TAG = "aioecs:token"


def ambiguous_call(
    name: str = "t", instances: str = "a", started_by: str | None = None, *, confirm: bool = True
) -> AmbiguousCall:
    """Make an ambiguous call with the token `name`; it is looked up by its token unless it has another mark."""
    return AmbiguousCall(name, name if started_by is None else started_by, tuple(instances), confirm)


def task(arn: str, instance: str | None = "a", started_by: str | None = "t", *tokens: str) -> Task:
    """Make a task with tokens in its tags."""
    return Task(
        task_arn=arn,
        container_instance_arn=instance and f"arn/{instance}",
        started_by=started_by,
        tags=[Tag(key=TAG, value=token) for token in tokens],
    )


@pytest.mark.parametrize(
    ("asked", "found", "belongs"),
    [
        pytest.param(ambiguous_call("t"), task("1", "a", "t"), True, id="its token"),
        pytest.param(ambiguous_call("t"), task("1", "a", "u"), False, id="another's token"),
        pytest.param(ambiguous_call("t"), task("1", "a", None), False, id="nobody's"),
        pytest.param(ambiguous_call("t"), task("1", "a", "t", "u"), True, id="its token, and some tag"),
        pytest.param(ambiguous_call("t"), task("1", "a", "u", "t"), False, id="its token in a tag alone"),
        pytest.param(
            ambiguous_call("t", started_by="svc"), task("1", "a", "svc", "t"), True, id="the mark and the tag"
        ),
        pytest.param(ambiguous_call("t", started_by="svc"), task("1", "a", "svc"), False, id="the caller's mark alone"),
        pytest.param(
            ambiguous_call("t", started_by="svc"), task("1", "a", "svc", "u"), False, id="the mark, another's tag"
        ),
        pytest.param(
            ambiguous_call("t", started_by="svc"), task("1", "a", "t", "t"), False, id="the tag, another mark"
        ),
        pytest.param(
            ambiguous_call("t", started_by="svc"), task("1", "a", "svc", "u", "t"), True, id="one of two tags"
        ),
    ],
)
def test_whose_a_task_is(asked: AmbiguousCall, found: Task, belongs: bool) -> None:
    """A task is a call's if it has the token as startedBy, or in the tag where startedBy is the caller's own."""
    assert (asked.mark in marks_of(found, TAG)) is belongs


def test_other_tags_are_not_marks() -> None:
    """Only the tag of aioecs counts."""
    assert marks_of(Task(started_by="svc", tags=[Tag(key="other", value="t")]), TAG) == (("svc", None),)


@pytest.mark.parametrize(
    ("pages", "unseen", "tokens", "more"),
    [(1, 100, 2, False), (2, 0, 2, True), (9, 900, 10, False), (5, 1500, 10, True), (9, 0, 10, False)],
)
def test_when_the_clusters_list_costs_more(pages: int, unseen: int, tokens: int, more: bool) -> None:
    """As soon as it takes as many pages, or with the descriptions of what was never seen twice as many reads."""
    assert costs_more(pages, unseen, tokens) is more


@pytest.mark.parametrize(
    ("tasks", "pages"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (201, 3), (20_000, 200)]
)
def test_pages_and_descriptions(tasks: int, pages: int) -> None:
    """A page lists a hundred, a DescribeTasks describes a hundred; an empty list is a page too."""
    arns = [str(number) for number in range(tasks)]
    parts = list(by_hundreds(iter(arns)))
    assert max(1, len(parts)) == pages_of(tasks) == pages
    assert [arn for part in parts for arn in part] == arns
    assert all(0 < len(part) <= 100 for part in parts)


@pytest.mark.parametrize(
    ("ambiguous_calls", "found", "expected"),
    [
        pytest.param([ambiguous_call(instances="ab")], [], "ab", id="nothing found"),
        pytest.param([ambiguous_call(instances="ab")], [task("1")], "b", id="one found"),
        pytest.param([ambiguous_call(instances="ab")], [task("1"), task("2", "b")], "", id="all found"),
        pytest.param([ambiguous_call(instances="aa")], [task("1")], "a", id="repeats are counted"),
        pytest.param([ambiguous_call(instances="aa")], [task("1"), task("2")], "", id="repeats all found"),
        pytest.param([ambiguous_call(instances="a")], [task("1", "z"), task("2", None)], "a", id="found elsewhere"),
        pytest.param([ambiguous_call(instances="a", confirm=False)], [], "", id="too early to believe"),
        pytest.param([ambiguous_call("t"), ambiguous_call("u", "ab")], [task("1")], "ab", id="each for itself"),
        pytest.param([ambiguous_call("t"), ambiguous_call("u", "a")], [], "a", id="an instance is asked once for all"),
        pytest.param([], [], "", id="nothing ambiguous"),
    ],
)
def test_which_instances_are_asked(ambiguous_calls: list[AmbiguousCall], found: list[Task], expected: str) -> None:
    """Before absence is believed, the instances of what lacks a task are asked for their stopped ones, each once."""
    assert to_confirm(ambiguous_calls, {("t", None): found}) == tuple(expected)


def test_an_instance_has_one_name() -> None:
    """The id and the ARN of one instance are one instance to ask, under the name that came first."""
    arn = "arn:aws:ecs:eu-west-1:123456789012:container-instance/c/a"
    assert to_confirm([AmbiguousCall("t", "t", (arn, "a"), True), ambiguous_call("u", "a")], {}) == (arn,)
