"""log_poller: many streams within the service's rate, no line lost or doubled whatever fails, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from fake_transport import FakeTransport, make_core
from virtual_time import run_in_virtual_time

from aioecs._client.log_poller import LogPoller
from aioecs._logic.tasks.log_source import LogSource
from aioecs._model.log_line import LogLine
from aioecs.errors import AccessDeniedException, AnswerLost, ClientStateError, ECSServiceError

UNREACHABLE: Exception = EndpointConnectionError(endpoint_url="http://logs")


def refused(code: str) -> Exception:
    """Return what botocore raises for a code."""
    error: Exception = ClientError({"Error": {"Code": code, "Message": "no"}}, "GetLogEvents")
    return error


class FakeLogs:
    """CloudWatch Logs in memory: pages of three, and failures as they are given."""

    def __init__(self, fail: Any = None) -> None:
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self.sent: list[float] = []
        self.fail = fail

    def write(self, stream: str, text: str) -> None:
        now = int(asyncio.get_running_loop().time() * 1000)
        self.streams.setdefault(stream, []).append({"timestamp": now, "message": text})

    async def get_log_events(self, **members: Any) -> Any:
        self.sent.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.02)
        if self.fail is not None and (error := self.fail(members)) is not None:
            raise error
        if (lines := self.streams.get(members["logStreamName"])) is None:
            raise refused("ResourceNotFoundException")
        if not members["startFromHead"]:
            return {"events": lines[-members["limit"] :], "nextForwardToken": str(len(lines))}
        since = members.get("startTime", 0)
        begin = next((n for n, each in enumerate(lines) if each["timestamp"] >= since), len(lines))
        begin = int(members.get("nextToken", begin))
        page = lines[begin : begin + 3]
        return {"events": page, "nextForwardToken": str(begin + len(page))}


def poller_of(logs: FakeLogs) -> LogPoller:
    async def connect(region: str | None) -> FakeLogs:
        return logs

    return LogPoller(make_core(FakeTransport()), connect, asyncio.get_running_loop().time)


class Follower:
    """Follows one stream, and keeps what it is handed."""

    def __init__(self, poller: LogPoller, stream: str) -> None:
        self.lines: list[str] = []
        self.ended = asyncio.Event()
        self.following = asyncio.create_task(poller.follow(LogSource("main", "g", stream), self.hand, self.ended))

    async def hand(self, line: LogLine) -> None:
        self.lines.append(line.text)


def test_lines_as_they_come() -> None:
    """Also those that come after the end of the task; a stream need not be there at first."""

    async def work() -> None:
        logs = FakeLogs()
        follower = Follower(poller_of(logs), "s")
        await asyncio.sleep(20)
        for number in range(40):
            logs.write("s", str(number))
            await asyncio.sleep(0.3)
        assert len(follower.lines) >= 30
        follower.ended.set()
        await asyncio.sleep(2)
        logs.write("s", "late")
        await follower.following
        assert follower.lines == [*map(str, range(40)), "late"]

    run_in_virtual_time(work())


def test_a_task_that_wrote_nothing() -> None:
    """It ends some seconds after its task, without a stream."""

    async def work() -> None:
        follower = Follower(poller_of(FakeLogs()), "s")
        follower.ended.set()
        began = asyncio.get_running_loop().time()
        await follower.following
        assert 5 <= asyncio.get_running_loop().time() - began < 7

    run_in_virtual_time(work())


def test_what_there_is() -> None:
    """Without following it reads to the end once."""

    async def work() -> None:
        logs = FakeLogs()
        for number in range(10):
            logs.write("s", str(number))
        lines: list[str] = []

        async def hand(line: LogLine) -> None:
            lines.append(line.text)

        await poller_of(logs).follow(LogSource("main", "g", "s"), hand, None)
        assert lines == [str(number) for number in range(10)]
        last = await poller_of(logs).last(LogSource("main", "g", "s"), 3)
        assert [line.text for line in last] == ["7", "8", "9"]
        assert await poller_of(logs).last(LogSource("main", "g", "none"), 3) == []

    run_in_virtual_time(work())


def test_throttles_without_an_end_are_waited_out() -> None:
    """For hours, at the longest backoff; then the log is read as if there had been none."""

    async def work() -> None:
        logs = FakeLogs()
        logs.write("s", "line")
        poller = poller_of(logs)
        throttle = ECSServiceError("Rate exceeded", code="ThrottlingException")
        tries = 0

        async def read() -> str:
            nonlocal tries
            tries += 1
            if tries < 1500:
                raise throttle
            return "read"

        assert await poller._with_retries(LogSource("main", "g", "s"), read) == "read"

    run_in_virtual_time(work())


def test_two_hundred_one_by_one_under_throttles_and_reconnects() -> None:
    """Within 25 requests a second; each line once, in order."""
    rng = random.Random(1)

    def fail(members: Any) -> Exception | None:
        roll = rng.random()
        if "nextToken" in members and roll < 0.02:
            return refused("InvalidParameterException")
        if roll < 0.07:
            return refused("ThrottlingException")
        return UNREACHABLE if roll < 0.12 else None

    async def work() -> None:
        logs = FakeLogs(fail)
        poller = poller_of(logs)
        followers = [Follower(poller, f"s{number}") for number in range(200)]
        for number in range(3):
            for each in range(200):
                for part in range(each % 4):
                    logs.write(f"s{each}", f"{number}.{part}")
            await asyncio.sleep(60)
        for follower in followers:
            follower.ended.set()
        await asyncio.gather(*(each.following for each in followers))
        for each, follower in enumerate(followers):
            assert follower.lines == [f"{number}.{part}" for number in range(3) for part in range(each % 4)]
        in_each_second = Counter(int(at) for at in logs.sent)
        assert max(in_each_second.values()) <= 25
        assert poller.reads == len(logs.sent)

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("error", "raised", "tries"),
    [
        (refused("AccessDeniedException"), AccessDeniedException, 1),
        (ClientStateError("this client is closed"), ClientStateError, 1),
        (EndpointConnectionError(endpoint_url="http://logs"), AnswerLost, 10),
    ],
)
def test_what_can_not_be_read(error: Exception, raised: type[Exception], tries: int) -> None:
    """What another try would meet again is raised at once, what may pass after ten tries."""

    async def work() -> None:
        logs = FakeLogs(lambda _: error)
        with pytest.raises(raised):
            await Follower(poller_of(logs), "s").following
        assert len(logs.sent) == tries

    run_in_virtual_time(work())
