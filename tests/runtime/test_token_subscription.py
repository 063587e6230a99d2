"""One token on one event loop: every waiter is woken once, and the last one that leaves ends the subscription."""

from __future__ import annotations

import asyncio

import aioecs
from aioecs._runtime.cancel_token import watch


async def test_each_waiter_is_called_once() -> None:
    """Both blocks are woken by the one cancel, and a block that has ended is not."""
    token, woken = aioecs.CancelToken(), list[str]()
    with watch(token, lambda: woken.append("left")):
        pass
    with watch(token, lambda: woken.append("first")), watch(token, lambda: woken.append("second")):
        token.cancel("enough")
        token.cancel("again")
        await asyncio.sleep(0)
    assert woken == ["first", "second"]


async def test_a_token_that_was_cancelled_before_wakes_at_once() -> None:
    """A late waiter is woken in the next iteration of the loop."""
    token, woken = aioecs.CancelToken(), asyncio.Event()
    token.cancel()
    with watch(token, woken.set):
        assert not woken.is_set()
        await woken.wait()
