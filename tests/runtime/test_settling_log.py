"""settling_log: a cancelled caller's wait is logged once, for all that wait, and again while it lasts."""

from __future__ import annotations

import asyncio

import pytest
from virtual_time import run_in_virtual_time

from aioecs._runtime.settling_log import SettlingLog


@pytest.mark.parametrize(("lasts", "warnings"), [(0.4, 0), (1.0, 1), (6.0, 2), (11.0, 3)])
def test_a_long_wait_is_logged(lasts: float, warnings: int, caplog: pytest.LogCaptureFixture) -> None:
    """A short wait is not logged; two waits are named in one warning."""

    async def main() -> None:
        waits = SettlingLog(asyncio.get_running_loop())
        numbers = [waits.begin(lambda: "StartTask with token t", 20.0) for _ in range(2)]
        await asyncio.sleep(lasts)
        for number in numbers:
            waits.end(number)
        await asyncio.sleep(30)

    run_in_virtual_time(main())
    reported = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(reported) == warnings
    assert all("StartTask with token t, and 1 more" in text for text in reported)


def test_a_wait_that_is_given_up_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """With its token, however short the wait was; nothing more is logged of it."""

    async def main() -> None:
        waits = SettlingLog(asyncio.get_running_loop())
        waits.give_up(waits.begin(lambda: "StartTask with token t", 20.0))
        await asyncio.sleep(30)

    run_in_virtual_time(main())
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("the outcome of StartTask with token t is not known yet")
