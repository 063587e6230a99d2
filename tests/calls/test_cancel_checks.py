"""cancel_checks: a read is abandoned at once by scope, token or natively, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from virtual_time import run_in_virtual_time

from aioecs import CallCancelled, CancelToken, StartCancelled
from aioecs._calls.cancel_checks import abandonable, call_cancelled, may_have_fired


@pytest.mark.parametrize("source", [CancelToken, anyio.CancelScope])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_read_is_abandoned(source: Any, moment: str) -> None:
    """Before, it is not begun; during, it is cut at once; after, its answer stands."""

    async def main() -> None:
        begun, cut = asyncio.Event(), asyncio.Event()
        given = source()

        async def read() -> int:
            begun.set()
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                cut.set()
                raise
            return 7

        if moment == "before":
            given.cancel()
        call = asyncio.create_task(abandonable("ListTasks", given, read))
        if moment == "during":
            await begun.wait()
            given.cancel()
        await asyncio.wait([call])
        if moment == "after":
            given.cancel()
            assert call.result() == 7
            return
        assert isinstance(call.exception(), CallCancelled)
        assert not isinstance(call.exception(), StartCancelled)
        assert (begun.is_set(), cut.is_set()) == ((moment == "during"),) * 2
        assert asyncio.get_running_loop().time() < 1_001, "at once"

    run_in_virtual_time(main())


def test_a_native_cancel_stays_what_it_is() -> None:
    """The first CancelledError goes on; the read is cut."""

    async def main() -> None:
        call = asyncio.create_task(abandonable("ListTasks", CancelToken(), lambda: asyncio.sleep(5)))
        await asyncio.sleep(1)
        call.cancel("mine")
        with pytest.raises(asyncio.CancelledError, match="mine"):
            await call

    run_in_virtual_time(main())


def test_the_message_of_a_cancel() -> None:
    """The reason, and what is known."""
    error = call_cancelled("nothing was sent", "shutdown", None)
    assert (str(error), error.reason) == ("cancelled (shutdown): nothing was sent", "shutdown")
    assert str(call_cancelled("nothing was sent", None, None)) == "cancelled: nothing was sent"


async def test_a_fast_check_says_whether_anything_can_have_fired() -> None:
    """A source, a scope that has ended, or a cancel of the task; else there is no need to look closely."""
    loop = asyncio.get_running_loop()
    assert not may_have_fired(loop, None, float("inf"))
    assert may_have_fired(loop, CancelToken(), float("inf"))
    assert may_have_fired(loop, None, float("-inf"))
