"""keyed_calls: the calls in progress that have an idempotency key."""

from __future__ import annotations

import asyncio

import attrs
import pytest
from virtual_time import iterations

from aioecs._runtime.keyed_calls import Keys


@attrs.define(eq=False)
class Ending:
    """A call that ends when the test says so."""

    ended: bool = False
    waiters: list[asyncio.Future[None]] = attrs.Factory(list)

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that its end resolves."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        if self.ended:
            waiter.set_result(None)
        return waiter

    def end(self) -> None:
        """End."""
        self.ended = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)


async def test_a_call_is_known_until_a_moment_after_its_end() -> None:
    """It is found by its key alone, and forgotten when it has ended."""
    keys: Keys[Ending] = Keys(asyncio.get_running_loop())
    call = keys.put("k", Ending())
    assert keys.get("k") is call
    assert keys.get("other") is None
    call.end()
    assert keys.get("k") is call, "who comes in this moment joins it"
    await iterations(4)
    assert (keys.get("k"), len(keys)) == (None, 0)


async def test_a_call_that_goes_on_is_known_on() -> None:
    """A cancel that comes together with its end takes it up again, to stop what it started."""
    keys: Keys[Ending] = Keys(asyncio.get_running_loop())
    call = keys.put("k", Ending())
    call.end()
    call.ended = False
    await iterations(4)
    assert keys.get("k") is call
    call.end()
    await iterations(4)
    assert keys.get("k") is None


@pytest.mark.parametrize("first_ends", ["sooner", "later"])
async def test_the_end_of_one_does_not_forget_the_next(first_ends: str) -> None:
    """A key that was put again belongs to the call that came last."""
    keys: Keys[Ending] = Keys(asyncio.get_running_loop())
    first = keys.put("k", Ending())
    if first_ends == "sooner":
        first.end()
    last = keys.put("k", Ending())
    first.end()
    await iterations(4)
    assert keys.get("k") is last
    last.end()
    await iterations(4)
    assert len(keys) == 0
