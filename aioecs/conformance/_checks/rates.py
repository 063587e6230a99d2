"""The token buckets: how many calls are accepted at once, and how many a second from then on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import attrs

from aioecs.conformance._calls import THROTTLED, Answer, Blocked, send_once, together
from aioecs.conformance._context import Context

_AT_ONCE = 40  # requests in flight: enough to outrun the refill over 0.3 s of latency
_MOST = 400  # requests after which there seems to be no bucket
_REFILL = 5.0  # seconds over which the refill is measured
_OUTRUNS = 1.25  # times the expected refill that this machine must send
_TOLERANCE = 0.25  # of the expected number
_UNKNOWN_TASK = "f" * 32


@attrs.define
class _Bucket:
    """The measurement of one bucket. until: when to stop, on the monotonic clock; None stops at the first throttle."""

    send: Callable[[], Awaitable[Answer]]
    accepted: int = 0
    sent: int = 0
    throttled: Answer | None = None
    until: float | None = None

    async def run(self, pause: float = 0.0) -> float:
        """Send from several tasks at once, and return how long it took, in seconds."""
        began = time.monotonic()
        await together(*[partial(self._sender, pause)] * _AT_ONCE)
        return time.monotonic() - began

    async def _sender(self, pause: float) -> None:
        while self._goes_on():
            self.sent += 1
            answer = await self.send()
            if answer.error in THROTTLED or "Rate exceeded" in answer.message:
                self.throttled = answer
            else:
                self.accepted += 1
            await anyio.sleep(pause)

    def _goes_on(self) -> bool:
        if self.until is not None:
            return time.monotonic() < self.until
        return self.throttled is None and self.sent < _MOST


async def rates(context: Context) -> None:
    """Empty both buckets: with StopTask of an unknown task, which has no effect, and with ListTasks."""
    cluster = context.setup.cluster

    async def change() -> Answer:
        context.requests += 1
        return await send_once(context.ecs, "stop_task", cluster=cluster, task=_UNKNOWN_TASK)

    async def read() -> Answer:
        context.requests += 1
        return await send_once(context.ecs, "list_tasks", cluster=cluster, startedBy=context.run)

    throttled = await _measure(context, "start", change, burst=100, rate=40)
    throttled = await _measure(context, "read", read, burst=100, rate=20) or throttled
    if throttled is None:
        context.add_finding("rate.error", False, "nothing was throttled")
    else:
        holds = (throttled.error, throttled.status) == ("ThrottlingException", 400)
        context.add_finding("rate.error", holds, f"{throttled}: {throttled.message}")


async def _measure(
    context: Context, name: str, send: Callable[[], Awaitable[Answer]], *, burst: int, rate: int
) -> Answer | None:
    """Measure a bucket, and return an answer that was throttled."""
    full = _Bucket(send)
    took = await full.run()
    speed = full.sent / took
    if speed < _OUTRUNS * rate:
        raise Blocked(f"this machine sends only {speed:.0f} requests a second")
    if full.throttled is None:
        seen = f"none throttled of {full.sent} in {took:.1f} s"
        context.add_finding(f"rate.{name}_burst", False, seen)
        context.add_finding(f"rate.{name}_refill", False, seen)
        return None
    refill = _Bucket(send, until=time.monotonic() + _REFILL)
    lasted = await refill.run(_AT_ONCE / (rate * 3))
    refilled = refill.accepted / lasted
    size = full.accepted - refilled * took
    context.add_finding(f"rate.{name}_burst", _near(size, burst), f"{size:.0f} ({full.accepted} within {took:.1f} s)")
    context.add_finding(f"rate.{name}_refill", _near(refilled, rate), f"{refilled:.0f} a second over {_REFILL:.0f} s")
    return full.throttled


def _near(found: float, expected: float) -> bool:
    return abs(found - expected) <= _TOLERANCE * expected
