"""request_json: what it writes is the JSON of that request, and breaks no rule; what is usual it writes."""

from __future__ import annotations

import gc
import json
import warnings
import weakref
from copy import copy
from pickle import dumps, loads
from typing import Any

import pytest
from characters import CHARACTERS
from hypothesis import given, settings
from hypothesis import strategies as st

from aioecs._model import (
    AwsVpcConfiguration,
    ContainerOverride,
    EBSTagSpecification,
    EnvironmentFile,
    EphemeralStorage,
    InferenceAcceleratorOverride,
    KeyValuePair,
    ListTasksRequest,
    NetworkConfiguration,
    PropagateTags,
    ResourceRequirement,
    RunTaskRequest,
    StartTaskRequest,
    Tag,
    TaskManagedEBSVolumeConfiguration,
    TaskOverride,
    TaskVolumeConfiguration,
    limits,
)
from aioecs._model.checks.request_json import (
    checked_json,
    common_json,
    json_of,
    keeps_what_varies,
    share_if_same,
    share_parts,
)
from aioecs._model.checks.violations import check_shape
from aioecs._model.codec.encoder import GAP
from aioecs._model.codec.plain import from_plain, lazy_from_plain, to_plain
from aioecs._model.codec.shape import Shape
from aioecs.errors import InvalidRequest
from tests.effort import EFFORT

odd: Any = (
    st.none() | st.text(CHARACTERS, max_size=6) | st.integers(-3, 300) | st.booleans() | st.just(["x"]) | st.floats()
)


def mostly(usual: Any, unusual: Any = odd) -> Any:
    """Make usual members but for one in thirty: a request has some twenty."""
    return st.integers(0, 29).flatmap(lambda at: unusual if at == 17 else usual)


texts: Any = mostly(st.text(CHARACTERS, min_size=1, max_size=40))
flags: Any = mostly(st.none() | st.booleans())
extras: Any = mostly(st.just({}), st.just({"newer": 1}))


def shapes(kind: type[Shape], **members: Any) -> Any:
    """Make values of a shape, most of which break no rule."""
    return st.builds(kind, **members)


def lists(of: Any, most: int = 3) -> Any:
    return st.none() | st.lists(of, max_size=most)


pairs: Any = shapes(KeyValuePair, name=texts, value=texts)
tag_texts: Any = mostly(st.text("aA9 _é:/", min_size=1, max_size=9), st.just("aws:x") | texts)
tags: Any = shapes(Tag, key=tag_texts, value=tag_texts)
overrides: Any = shapes(
    TaskOverride,
    container_overrides=lists(
        shapes(
            ContainerOverride,
            name=texts,
            command=lists(texts),
            environment=lists(pairs),
            environment_files=lists(shapes(EnvironmentFile, value=texts, type=mostly(st.just("s3"))), 1),
            cpu=mostly(st.none() | st.integers(0, 9)),
            resource_requirements=lists(shapes(ResourceRequirement, value=texts, type=st.just("GPU")), 1),
            extra=extras,
        ),
        2,
    ),
    memory=texts,
    ephemeral_storage=st.none() | shapes(EphemeralStorage, size_in_gib=mostly(st.integers(21, 200))),
    inference_accelerator_overrides=mostly(st.none() | st.just([]), st.just([InferenceAcceleratorOverride()])),
    extra=extras,
)
networks: Any = shapes(
    NetworkConfiguration,
    awsvpc_configuration=st.none()
    | shapes(
        AwsVpcConfiguration,
        subnets=mostly(st.lists(texts, min_size=1, max_size=16), st.lists(texts, max_size=18)),
        security_groups=mostly(lists(texts, 5), lists(texts, 6)),
        assign_public_ip=mostly(st.just("ENABLED")),
    ),
)
volumes: Any = shapes(
    TaskVolumeConfiguration,
    name=texts,
    managed_ebs_volume=st.none()
    | shapes(
        TaskManagedEBSVolumeConfiguration,
        role_arn=texts,
        encrypted=flags,
        volume_type=mostly(st.sampled_from([None, "gp2"]), st.sampled_from(["st1", "newer"])),
        size_in_gib=mostly(st.integers(1, 130), st.none() | st.integers(-1, 0)),
        throughput=mostly(st.none() | st.integers(1, 1000), st.integers(-1, 1001)),
        tag_specifications=lists(
            shapes(EBSTagSpecification, resource_type=mostly(st.just("volume")), tags=lists(tags)), 1
        ),
    ),
)
requests: Any = shapes(
    StartTaskRequest,
    task_definition=texts,
    container_instances=mostly(st.lists(texts, min_size=1, max_size=10), st.lists(texts, max_size=12) | odd),
    started_by=mostly(st.none() | st.text("aZ9-_/", min_size=1, max_size=36), st.text("aZ9-_/", max_size=40) | texts),
    propagate_tags=mostly(st.sampled_from([None, "TASK_DEFINITION", PropagateTags.NONE])),
    tags=lists(tags),
    overrides=mostly(st.none() | overrides),
    network_configuration=st.none() | networks,
    volume_configurations=lists(volumes, 1),
    enable_execute_command=flags,
    extra=extras,
)
runs: Any = shapes(
    RunTaskRequest,
    task_definition=texts,
    count=mostly(st.none() | st.integers(1, 10), st.integers(-1, 12)),
    client_token=mostly(st.none() | st.text("aZ!", min_size=1), texts),
    launch_type=mostly(st.just("FARGATE")),
    overrides=st.none() | overrides,
    tags=lists(tags),
)


def written(request: Shape) -> str | None:
    """Return the whole JSON that was written of a request that keeps every rule, with its gaps filled."""
    text = checked_json(request)
    if text is None or not isinstance(request, StartTaskRequest):
        return text
    if not keeps_what_varies(request, any_number=False):
        return None
    before, between, after = text.split(GAP)
    mark = ', "startedBy": '
    assert between.endswith(mark)
    listed = json.dumps(request.container_instances)
    if request.started_by is None:
        return before + listed + between.removesuffix(mark) + after
    return before + listed + between + json.dumps(request.started_by) + after


@settings(max_examples=300 * EFFORT, deadline=None)
@given(requests | runs)
def test_what_it_writes_is_the_json_and_breaks_no_rule(request: Shape) -> None:
    """Of requests of all sorts: as the member-by-member check and `to_plain` have it, and it warns of nothing."""
    text = written(request)
    if text is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_shape(request, "", any_number=False)
        assert text == json.dumps(to_plain(request))


@settings(max_examples=150 * EFFORT, deadline=None)
@given(st.lists(pairs, max_size=4))
def test_it_is_no_shorter_than_the_json_whose_characters_count(environment: list[KeyValuePair]) -> None:
    """ECS counts compact JSON with one letter as one character: what is written is never shorter than that."""
    value = TaskOverride(container_overrides=[ContainerOverride(name="main", environment=environment)])
    text = checked_json(value)
    assert text is None or len(text) >= len(json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False))


USUAL = StartTaskRequest(
    task_definition="demo",
    container_instances=["0a1b"],
    propagate_tags="TASK_DEFINITION",
    enable_execute_command=True,
    tags=[Tag(key="k", value="v"), Tag(key="Ключ", value="值")],
    overrides=TaskOverride(
        container_overrides=[
            ContainerOverride(
                name="main", cpu=1, command=["run", "é"], environment=[KeyValuePair(name="N", value="1\0")]
            )
        ]
    ),
    network_configuration=NetworkConfiguration(awsvpc_configuration=AwsVpcConfiguration(subnets=["subnet-1"])),
)


@pytest.mark.parametrize(
    "usual",
    [
        StartTaskRequest(task_definition="demo", container_instances=["0a1b"]),
        USUAL,
        USUAL.replace(started_by="mine"),
        RunTaskRequest(task_definition="demo", count=2),
        ListTasksRequest(max_results=10),
    ],
)
def test_the_usual_is_written(usual: Shape) -> None:
    """What nearly everybody sends is not checked a second time."""
    assert written(usual) == json.dumps(to_plain(usual))


def test_an_answer_s_value_is_written_as_any_other() -> None:
    """Overrides that are read late, member by member, from what ECS said of a task."""
    plain = to_plain(USUAL)["overrides"]
    assert checked_json(lazy_from_plain(TaskOverride, plain)) == checked_json(from_plain(TaskOverride, plain))


def test_what_is_not_certain_is_not_written() -> None:
    """What is refused, what warns, and what is merely near a limit is checked member by member."""
    near = KeyValuePair(name="N", value='"' * 4050)  # 8,100 characters escaped, and some more around them
    held = TaskOverride(container_overrides=[ContainerOverride(name="main", environment=[near])])
    assert checked_json(held.replace(memory="1" * 200)) is None
    assert checked_json(TaskOverride(inference_accelerator_overrides=[InferenceAcceleratorOverride()])) is None
    assert checked_json(USUAL.replace(extra={"newer": 1})) is None
    assert not keeps_what_varies(USUAL.replace(container_instances=()), any_number=True)
    with pytest.raises(InvalidRequest, match="tags"):
        limits.check(USUAL.replace(tags=[Tag(key="k"), Tag(key="k")]))


def test_what_varies_may_be_changed_without_writing_it_anew() -> None:
    """A request with other instances and a mark has the very same JSON; with anything else changed it has its own."""
    text = checked_json(USUAL)
    assert text is not None
    assert checked_json(USUAL.replace(container_instances=["other"], started_by="mark")) is text
    assert checked_json(USUAL.replace(container_instances=["other"], group="g")) != text


def test_it_is_kept_with_the_value_and_nowhere_else() -> None:
    """There may be secrets in it: no repr shows it, no copy or pickle takes it along, and it dies with its value."""
    value = TaskOverride.for_container("main", environment={"PASSWORD": "hunter2"})
    request = StartTaskRequest(task_definition="d", container_instances=["i"], overrides=value)
    assert "hunter2" in (checked_json(request) or "")
    assert "hunter2" not in repr(request)
    assert copy(request) == loads(dumps(request)) == request  # noqa: S301 our own
    assert len(dumps(request)) == len(dumps(request.replace(group=None)))
    gone = weakref.ref(value)
    del value, request
    gc.collect()
    assert gone() is None


def test_differently_spelled_requests_have_different_common_parts() -> None:
    """True, 1 and 1.0 are equal in Python, and three things in JSON; written or not, what differs has another text."""
    alike = [USUAL.replace(container_instances=[name], started_by=name) for name in ("a", "b")]
    assert len({common_json(each) for each in alike}) == 1
    others = [USUAL.replace(overrides=TaskOverride(extra={"newer": held})) for held in (True, 1, 1.0, "\0")]
    others += [USUAL.replace(group="g"), USUAL.replace(extra={"newer": 1})]
    assert len({common_json(each) for each in (*alike, *others)}) == 1 + len(others)


def test_what_a_caller_changes_afterwards_is_seen() -> None:
    """A map that was given in `extra` can be changed in place, so what has one is written anew each time."""
    held: dict[str, Any] = {"one": 1}
    request = USUAL.replace(overrides=TaskOverride(extra={"newer": held}))
    first = common_json(request), json_of(request)
    held["one"] = 2
    assert (common_json(request), json_of(request)) != first
    assert json_of(request) == json.dumps(to_plain(request))


def test_equal_requests_share_their_parts() -> None:
    """Equal ones that are kept by the thousand hold the very same overrides; what differs, or can change, is left."""

    def made(value: str = "7", **members: Any) -> StartTaskRequest:
        overrides = TaskOverride.for_container("main", environment={"SCENE": value})
        request = StartTaskRequest(task_definition="d", container_instances=["i"], overrides=overrides, **members)
        checked_json(request)
        return request

    first, equal, other, open_ended = made(), made(started_by="x"), made("8"), made(extra={"newer": 1})
    for request in (equal, other, open_ended):
        before = request.replace()
        share_parts(request, first)
        assert request == before
    assert equal.overrides is first.overrides
    assert checked_json(equal) is checked_json(first)
    assert other.overrides is not first.overrides
    assert open_ended.overrides is not first.overrides


@settings(max_examples=100 * EFFORT, deadline=None)
@given(requests, requests)
def test_requests_that_are_the_same_are_written_alike(request: StartTaskRequest, other: StartTaskRequest) -> None:
    """One that is certain to keep every rule is compared; what then has its JSON has the members that it stands for."""
    for each in (other, loads(dumps(request)), request.replace(started_by="b")):  # noqa: S301 our own
        anew = checked_json(each.replace(group=each.group))
        if share_if_same(each, request):
            assert anew is not None
            assert anew == checked_json(request) == checked_json(each)


def test_the_json_of_an_equal_request_is_not_written_again() -> None:
    """It holds the first one's parts and JSON; if the first one's is not known, or it differs, it is left as it is."""

    def made(value: str = "7", **members: Any) -> StartTaskRequest:
        overrides = TaskOverride.for_container("main", environment={"SCENE": value}, command=["run"])
        tags, network = [Tag(key="k")], NetworkConfiguration(awsvpc_configuration=AwsVpcConfiguration(subnets=["s"]))
        volumes = [TaskVolumeConfiguration(name="v")]
        return StartTaskRequest(
            task_definition="d",
            container_instances=["i"],
            overrides=overrides,
            tags=tags,
            network_configuration=network,
            volume_configurations=volumes,
            **members,
        )

    first, equal, other = made(), made(started_by="x"), made("8")
    assert not share_if_same(equal, first)
    checked_json(first)
    assert share_if_same(equal, first)
    assert not share_if_same(other, first)
    for name in ("overrides", "tags", "network_configuration", "volume_configurations"):
        assert getattr(equal, name) is getattr(first, name) is not getattr(other, name)
    assert checked_json(equal) is checked_json(first)
    assert (equal, other) == (made(started_by="x"), made("8"))
