"""call_preparation: a request becomes a call, with its token and its clocks; nothing is sent by that."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import anyio
import pytest
from fake_transport import INSTANCES, FakeReconciler, FakeTransport, make_core, make_request
from virtual_time import run_in_virtual_time

from aioecs import StartTaskRequest, Tag
from aioecs._calls.call_preparation import Preparer, TokensOfPass, fresh_token
from aioecs._calls.reconciler import TAG, Reconciler
from aioecs._logic.calls import token as tokens
from aioecs._runtime.client_core import Core
from aioecs.errors import InvalidRequest


def a_preparer(core: Core, **more: Any) -> Preparer:
    """Make one whose lookups find nothing."""
    given: dict[str, Any] = {"region": "us-east-1", "rate_limited": False, "tag_tokens": False, **more}
    return Preparer(core, **given, reconcilers={None: FakeReconciler()})  # type: ignore[dict-item]


def test_a_fresh_token_is_nobody_else_s() -> None:
    """Of a thousand each is another, and fits where ECS keeps it."""
    made = {fresh_token() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(token) for token in made} == {tokens.LENGTH}


async def test_tokens_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are read for several, each token is another, and none is made of bytes that an earlier pass has read."""
    reads: list[bytes] = []
    urandom = os.urandom

    def read(size: int) -> bytes:
        reads.append(urandom(size))
        return reads[-1]

    monkeypatch.setattr("os.urandom", read)
    of_pass, loop = TokensOfPass(), asyncio.get_running_loop()
    made = [of_pass.fresh(loop) for _ in range(40)]
    assert len(reads) == 3
    await asyncio.sleep(0)
    made.append(of_pass.fresh(loop))
    assert len(reads) == 4
    bytes_of_last_pass = reads[-1]
    assert made[-1] in {tokens.fresh(bytes_of_last_pass[at : at + 32]) for at in range(0, len(bytes_of_last_pass), 32)}
    assert len({*made}) == 41


def tagged(count: int, **more: Any) -> StartTaskRequest:
    """Make a request with so many tags."""
    return make_request(tags=[Tag(key=f"k{n}", value="v") for n in range(count)], **more)


# What may be asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("demo", "request: a StartTaskRequest"),
        (make_request(started_by="x" * 37), "started_by: at most 36"),
        (make_request(0), "container_instances: 1 to 10"),
        (StartTaskRequest(task_definition="demo", container_instances=["0" * 32] * 11), "container_instances: 1 to 10"),
        (make_request(cluster="arn:aws:ecs:us-east-1:123456789012:cluster/other"), "of the cluster other"),
        (
            StartTaskRequest(task_definition="demo", container_instances=[INSTANCES[0].replace("east", "west")]),
            "Region",
        ),
        (
            StartTaskRequest(task_definition="demo", container_instances=[INSTANCES[0].replace("aws:", "aws-cn:")]),
            "part",
        ),
    ],
)
async def test_a_rule_that_is_broken_is_named(given: Any, rule: str) -> None:
    """Before anything is sent, whether it is only checked or made a call of."""
    transport = FakeTransport()
    preparer = a_preparer(make_core(transport))
    for ask in (preparer.check, lambda request: preparer.call(request, None, "at_most_once")):
        with pytest.raises(InvalidRequest, match=rule):
            ask(given)
    assert transport.requests == []


async def test_an_endpoint_of_one_s_own_may_be_in_any_region() -> None:
    """Without a Region to hold ARNs against, they are what they are."""
    west = [INSTANCES[0].replace("east", "west")]
    a_preparer(make_core(FakeTransport()), region=None).check(make_request().replace(container_instances=west))


async def test_what_fans_out_was_checked_as_a_whole() -> None:
    """Any number of instances may be asked for, and a part of it is not checked again."""
    preparer = a_preparer(make_core(FakeTransport()))
    many = StartTaskRequest(task_definition="demo", container_instances=["0" * 32] * 25)
    preparer.check(many, any_number=True)
    assert preparer.call(many, None, "at_most_once", fan_out=True).record.request is many
    with pytest.raises(InvalidRequest, match="request: a StartTaskRequest"):
        preparer.call("demo", None, "at_most_once", fan_out=True)  # type: ignore[arg-type]


async def test_whether_the_instances_keep_the_rules() -> None:
    """However many they are; what else is in the request isn't looked at."""
    preparer = a_preparer(make_core(FakeTransport()))
    assert preparer.fits(make_request(10, started_by="x" * 37))
    west = INSTANCES[0].replace("east", "west")
    assert not preparer.fits(make_request().replace(container_instances=[*INSTANCES, west]))
    assert not preparer.fits(make_request().replace(container_instances=[7]))


# Tokens --------------------------------------------------------------------------------------------------------------


async def sent(preparer: Preparer, request: StartTaskRequest, key: Any = None) -> tuple[Any, Any]:
    """Prepare a call and begin it; return its record, and the request as it was sent."""
    call = preparer.call(request, key, "at_most_once")
    assert isinstance(preparer.core.transport, FakeTransport)
    assert preparer.core.transport.requests == []
    call.begin()
    await call.end_waiter()
    [(_, request)] = preparer.core.transport.requests
    return call.record, request


async def test_its_tasks_bear_its_token() -> None:
    """Another for each call; under a key that of the key, wherever it is made."""
    request, made = make_request(group="g"), set[str]()
    for key in (None, None, "k", "k" * 5000, "\ud800"):
        record, as_sent = await sent(a_preparer(make_core(FakeTransport())), request, key)
        assert as_sent == request.replace(started_by=record.token)
        assert (record.request, record.adopts, record.keyed) == (request, True, key is not None)
        assert key is None or record.token == tokens.derived(key)
        made.add(record.token)
    assert len(made) == 5


async def test_a_mark_of_the_caller_s_own_is_kept() -> None:
    """Whoever bears it may be a stranger, so what is found by it is not adopted."""
    request = make_request(started_by="me")
    record, as_sent = await sent(a_preparer(make_core(FakeTransport())), request)
    assert (as_sent, record.token, record.adopts) == (request, "me", False)


@pytest.mark.parametrize("tags", [None, [Tag(key="a", value="b")]])
async def test_a_mark_of_the_caller_s_own_beside_a_token_in_a_tag(tags: Any) -> None:
    """With `tag_tokens` the token stands there, behind the caller's own tags."""
    request = make_request(started_by="me", tags=tags)
    record, as_sent = await sent(a_preparer(make_core(FakeTransport()), tag_tokens=True), request)
    assert as_sent.started_by == "me"
    assert as_sent.tags == (*(tags or ()), Tag(key=TAG, value=record.token))
    assert (record.token.startswith(tokens.PREFIX), record.adopts) == (True, True)


async def test_the_tag_of_the_token_counts_as_one() -> None:
    """Fifty tags of the caller's own leave no place for it, and that is refused before it is sent."""
    full = make_request(started_by="me", tags=[Tag(key=f"k{n}", value="") for n in range(50)])
    core = make_core(FakeTransport())
    a_preparer(core).call(full, None, "at_most_once")
    with pytest.raises(InvalidRequest, match="tags"):
        a_preparer(core, tag_tokens=True).call(full, None, "at_most_once")


@pytest.mark.parametrize("key", ["", 7, b"key", ["k"]])
async def test_a_key_that_is_none(key: Any) -> None:
    """It is a string, of any length but 0."""
    with pytest.raises(InvalidRequest, match="idempotency_key: a string that isn't empty"):
        a_preparer(make_core(FakeTransport())).call(make_request(), key, "at_most_once")


async def test_a_key_beside_a_mark() -> None:
    """Both would stand in `startedBy`."""
    with pytest.raises(InvalidRequest, match="idempotency_key: goes without started_by"):
        a_preparer(make_core(FakeTransport())).call(make_request(started_by="me"), "k", "at_most_once")


# Clocks and reconcilers ----------------------------------------------------------------------------------------------


def test_a_call_has_the_clocks_of_its_client_and_caller() -> None:
    """Its own begins now; an anyio deadline around the caller is its horizon, unless it fans out and is nobody's."""

    async def main() -> None:
        core = make_core(FakeTransport())
        preparer = a_preparer(core, rate_limited=True)
        record = preparer.call(make_request(), None, "at_least_once").record
        assert (record.deadline, record.scope_deadline) == (core.now + core.timeouts.call, float("inf"))
        assert (record.timeouts, record.retries) == (core.timeouts, core.retries)
        assert (record.delivery, record.rate_limited) == ("at_least_once", True)
        with anyio.move_on_after(7):
            await anyio.sleep(2)
            assert preparer.call(make_request(), None, "at_most_once").record.scope_deadline == core.now + 5
            fanned = preparer.call(make_request(), None, "at_most_once", fan_out=True).record
            assert fanned.scope_deadline == float("inf")

    run_in_virtual_time(main())


async def test_a_cluster_has_one_reconciler() -> None:
    """All ambiguous calls of a client in a cluster are looked up together."""
    preparer = Preparer(make_core(FakeTransport()), region=None, rate_limited=False, tag_tokens=False)
    reconciler = preparer.reconciler("a")
    assert isinstance(reconciler, Reconciler)
    assert preparer.reconciler("a") is reconciler
    assert len({id(preparer.reconciler(cluster)) for cluster in ("a", "b", None)}) == 3


@pytest.mark.parametrize(
    ("request_", "tag_tokens", "rule"),
    [
        (tagged(50), True, None),  # the token goes into started_by
        (tagged(49, started_by="mine"), True, None),
        (tagged(50, started_by="mine"), False, None),
        (tagged(50, started_by="mine"), True, "tags"),  # it would be the 51st
        (tagged(51), False, "tags"),
        (make_request(started_by="no spaces"), False, "started_by"),
        (make_request(started_by="x" * 37), False, "started_by"),
        (make_request(count=0), False, "container_instances"),
    ],
)
async def test_it_is_checked_as_it_will_be_sent(request_: StartTaskRequest, tag_tokens: bool, rule: str | None) -> None:
    """With the tag that aioecs adds, where it adds one; what fans out was checked before."""
    made = a_preparer(make_core(FakeTransport()), region=None, tag_tokens=tag_tokens)
    if rule is None:
        call = made.call(request_, None, "at_most_once")
        tags = {tag.key for tag in call._sent_as.tags or ()}
        assert (TAG in tags) is (tag_tokens and request_.started_by is not None)
        assert call.record.adopts is (tag_tokens or request_.started_by is None)
    else:
        with pytest.raises(InvalidRequest, match=rule):
            made.call(request_, None, "at_most_once")
        made.call(request_, None, "at_most_once", fan_out=True)
