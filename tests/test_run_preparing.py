"""aioecs._run.preparing: a request becomes a call: checked as it will be sent, with a token and its clocks."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from run_world import ToldPort, a_core, a_request, leaping

import aioecs
from aioecs._plan import token as tokens
from aioecs._run.desk import TAG
from aioecs._run.preparing import Preparer, fresh_token
from aioecs.errors import InvalidRequest


def preparer(**given: Any) -> Preparer:
    """Make one over a port that is told what to say."""
    settings: dict[str, Any] = {"region": None, "paced": False, "tag_tokens": False, **given}
    return Preparer(a_core(ToldPort()), **settings)


def tagged(count: int, **more: Any) -> aioecs.StartTaskRequest:
    """Make a request with so many tags."""
    return a_request(tags=[aioecs.Tag(key=f"k{n}", value="v") for n in range(count)], **more)


def test_fresh_tokens_are_all_others_and_keep_the_rules() -> None:
    """Drawn anew each time."""
    made = {fresh_token() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(token) for token in made} == {tokens.LENGTH}


async def test_what_is_sent_bears_the_token_and_what_was_asked_stays_as_it_was() -> None:
    """The caller's own value is not touched."""
    request = a_request()
    call = preparer().call(request, None, "at_most_once")
    assert call.record.request is request
    assert request.started_by is None
    assert call._sent_as == request.replace(started_by=call.record.token)
    assert call.record.adopts


@pytest.mark.parametrize(
    ("request_", "tag_tokens", "rule"),
    [
        (tagged(50), True, None),  # the token goes into started_by
        (tagged(49, started_by="mine"), True, None),
        (tagged(50, started_by="mine"), False, None),
        (tagged(50, started_by="mine"), True, "tags"),  # it would be the 51st
        (tagged(51), False, "tags"),
        (a_request(started_by="no spaces"), False, "started_by"),
        (a_request(started_by="x" * 37), False, "started_by"),
        (a_request(count=0), False, "container_instances"),
    ],
)
async def test_it_is_checked_as_it_will_be_sent(
    request_: aioecs.StartTaskRequest, tag_tokens: bool, rule: str | None
) -> None:
    """With the tag that aioecs adds, where it adds one; what fans out was checked before."""
    made = preparer(tag_tokens=tag_tokens)
    if rule is None:
        call = made.call(request_, None, "at_most_once")
        tags = {tag.key for tag in call._sent_as.tags or ()}
        assert (TAG in tags) is (tag_tokens and request_.started_by is not None)
        assert call.record.adopts is (tag_tokens or request_.started_by is None)
    else:
        with pytest.raises(InvalidRequest, match=rule):
            made.call(request_, None, "at_most_once")
        made.call(request_, None, "at_most_once", fan_out=True)


@pytest.mark.parametrize("key", ["", 7, b"k"])
async def test_a_key_is_a_string_that_is_not_empty(key: Any) -> None:
    """And goes without a started_by of the caller's."""
    with pytest.raises(InvalidRequest, match="idempotency_key"):
        preparer().call(a_request(), key, "at_most_once")
    with pytest.raises(InvalidRequest, match="idempotency_key"):
        preparer().call(a_request(started_by="mine"), "k", "at_most_once")


def test_a_call_has_its_own_clock_and_the_horizon_of_its_scopes() -> None:
    """What fans out belongs to no scope that could end it."""

    async def main() -> None:
        made, now = preparer(), asyncio.get_running_loop().time()
        assert made.call(a_request(), None, "at_most_once").record.horizon == float("inf")
        with anyio.CancelScope(deadline=now + 5) as scope:
            await asyncio.sleep(0)
            assert made.call(a_request(), None, "at_most_once").record.horizon == now + 5
            fanned = made.call(a_request(), None, "at_most_once", fan_out=True).record
            assert (fanned.deadline, fanned.horizon) == (now + made.core.timeouts.call, float("inf"))
            scope.cancel()
            assert made.call(a_request(), None, "at_most_once").record.horizon == float("-inf")

    leaping(main())


async def test_each_cluster_has_one_desk() -> None:
    """However often it is asked for."""
    made = preparer()
    assert made.desk("a") is made.desk("a")
    assert made.desk("a") is not made.desk(None)
