"""log_group: many streams are read together, within the service's rates, and no line is lost or doubled."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from fake_transport import FakeTransport, make_core
from virtual_time import run_in_virtual_time

from aioecs._client.log_poller import MAX_READ_SINGLY, LogPoller
from aioecs._logic.tasks.log_source import LogSource
from aioecs._logic.tasks.log_window import OVERLAP
from aioecs._model.log_line import LogLine
from aioecs.errors import AccessDeniedException, AnswerLost, ClientStateError

PREFIX = "svc/main/"


def refused(code: str, operation: str = "FilterLogEvents") -> Exception:
    """Return what botocore raises for a code."""
    error: Exception = ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
    return error


@attrs.define
class Written:
    """An event, and when it becomes readable, both in milliseconds."""

    number: int
    stream: str
    at: int
    readable: int
    text: str


class FakeLogGroup:
    """A log group in memory, whose events become readable late and in any order; FilterLogEvents gives pages."""

    def __init__(self, *, page: int = 500, fail: Callable[[str, Any], Exception | None] | None = None) -> None:
        self.streams: dict[str, list[Written]] = {}
        self._numbers = itertools.count()
        self.requests: list[tuple[float, str]] = []
        self._page = page
        self._fail = fail or (lambda operation, members: None)

    @property
    def now(self) -> int:
        """The time in milliseconds."""
        return round(asyncio.get_running_loop().time() * 1000)

    def write(self, stream: str, text: str, *, late: int = 0, at: int | None = None) -> None:
        """Write an event that becomes readable so much later."""
        time = self.now if at is None else at
        event = Written(next(self._numbers), stream, time, self.now + late, text)
        self.streams.setdefault(stream, []).append(event)

    def _exists(self, name: str) -> bool:
        return any(each.readable <= self.now for each in self.streams.get(name, ()))

    def _readable(self, names: Iterable[str], start: int) -> list[Written]:
        now = self.now
        written = (each for name in names for each in self.streams.get(name, ()))
        found = [each for each in written if each.at >= start and each.readable <= now]
        return sorted(found, key=lambda each: (each.at, each.number))

    async def filter_log_events(self, **members: Any) -> Any:
        """Answer a FilterLogEvents, or refuse it."""
        await self._begin("FilterLogEvents", members)
        names, prefix = members.get("logStreamNames"), members.get("logStreamNamePrefix")
        assert (names is None) != (prefix is None)
        assert names is None or 1 <= len(names) <= 100
        if names is not None and not all(map(self._exists, names)):
            raise refused("ResourceNotFoundException")
        found_names = names or [name for name in self.streams if name.startswith(str(prefix))]
        found = self._readable(found_names, members["startTime"])
        begin = int(members.get("nextToken", 0))
        page = found[begin : begin + self._page]
        events = [
            {"timestamp": e.at, "message": e.text, "logStreamName": e.stream, "eventId": str(e.number)} for e in page
        ]
        more = {"nextToken": str(begin + len(page))} if begin + len(page) < len(found) else {}
        return {"events": events, **more}

    async def get_log_events(self, **members: Any) -> Any:
        """Answer a GetLogEvents with all there is, or refuse it."""
        await self._begin("GetLogEvents", members)
        name = members["logStreamName"]
        found = self._readable([name], members.get("startTime", 0))
        if not self._exists(name):
            raise refused("ResourceNotFoundException", "GetLogEvents")
        if (token := members.get("nextToken")) is not None:  # it goes forward, past what comes late
            found = [each for each in found if (each.at, each.number) > tuple(map(int, token.split("/")))]
        events = [{"timestamp": each.at, "message": each.text} for each in found]
        return {"events": events, "nextForwardToken": f"{found[-1].at}/{found[-1].number}" if found else token or "0/0"}

    async def _begin(self, operation: str, members: Any) -> None:
        self.requests.append((asyncio.get_running_loop().time(), operation))
        await asyncio.sleep(0.05)
        if (error := self._fail(operation, members)) is not None:
            raise error

    def most_in_a_second(self, operation: str) -> int:
        """Return how many requests of an operation came within a second at most."""
        times = sorted(at for at, requested in self.requests if requested == operation)
        return max(sum(1 for at in times[n : n + 60] if at < begin + 1) for n, begin in enumerate(times))

    def poller(self) -> LogPoller:
        """Return a poller of it, whose own first streams are not read one by one."""

        async def connect(_: str | None) -> FakeLogGroup:
            return self

        return LogPoller(make_core(FakeTransport()), connect, asyncio.get_running_loop().time)


class Follower:
    """Follows a stream, and keeps its lines and when they came."""

    def __init__(self, poller: LogPoller, name: str, *, age: float = 0.0, prefix: str | None = PREFIX) -> None:
        loop = asyncio.get_running_loop()
        self.lines: list[str] = []
        self.came: dict[str, float] = {}
        self.ended = asyncio.Event()
        source = LogSource("main", "g", name, prefix=prefix, since=round((loop.time() - age) * 1000))
        self.following = loop.create_task(poller.follow(source, self.hand, self.ended))

    async def hand(self, line: LogLine) -> None:
        """Take a line."""
        self.lines.append(line.text)
        self.came[line.text] = asyncio.get_running_loop().time()


async def crowd(poller: LogPoller) -> list[Follower]:
    """Follow so many streams one by one that the next ones are read together."""
    followers = [Follower(poller, f"{PREFIX}single-{at}") for at in range(MAX_READ_SINGLY)]
    await asyncio.sleep(0)
    return followers


async def end(followers: list[Follower]) -> None:
    """Let the tasks end, and wait for the last lines."""
    for each in followers:
        each.ended.set()
    await asyncio.gather(*(each.following for each in followers))


def test_a_thousand_streams_within_the_rates() -> None:
    """Under throttles, resets and refused tokens, half the lines come within 6 s.

    In any second there are no more requests than the Region with the least allows: 10 GetLogEvents, 5 FilterLogEvents.
    """
    rng = random.Random(1)

    def fail(_: str, members: Any) -> Exception | None:
        roll = rng.random()
        if "nextToken" in members and roll < 0.02:
            return refused("InvalidParameterException")
        if roll < 0.05:
            return refused("ThrottlingException")
        return EndpointConnectionError(endpoint_url="http://logs") if roll < 0.08 else None

    async def work() -> tuple[float, float, dict[str, int]]:
        group = FakeLogGroup(page=2_000, fail=fail)
        poller = group.poller()
        followers = [Follower(poller, f"{PREFIX}{at}") for at in range(1000)]
        wrote: dict[str, float] = {}
        for number in range(15):
            for at in rng.sample(range(1000), 200):
                text = f"{at}.{number}"
                wrote[text] = asyncio.get_running_loop().time()
                group.write(f"{PREFIX}{at}", text, late=rng.randrange(3_000))
            await asyncio.sleep(4)
        await end(followers)
        came = {text: when for each in followers for text, when in each.came.items()}
        assert Counter(text for each in followers for text in each.lines) == Counter(wrote.keys())
        waits = sorted(came[text] - wrote[text] for text in wrote)
        most = {operation: group.most_in_a_second(operation) for operation in ("GetLogEvents", "FilterLogEvents")}
        return waits[len(waits) // 2], waits[-1], most

    median, longest, most = run_in_virtual_time(work())
    assert most["GetLogEvents"] <= 10
    assert most["FilterLogEvents"] <= 5
    assert median < 6
    assert longest < 30


@pytest.mark.parametrize("seed", range(12))
def test_late_and_out_of_order_no_line_is_lost_or_doubled(seed: int) -> None:
    """Events that become readable up to the overlap after later ones, equal lines in one millisecond among them."""
    rng = random.Random(seed)

    async def work() -> None:
        group = FakeLogGroup(page=rng.choice([1, 3, 50]))
        poller = group.poller()
        others = await crowd(poller)
        names = [f"{PREFIX}{at}" for at in range(12)]
        followers = [Follower(poller, name) for name in names]
        names.append(f"{PREFIX}single-0")
        wrote: dict[str, Counter[str]] = {name: Counter() for name in names}
        for _ in range(150):
            name = rng.choice(names)
            text = rng.choice(["same", f"line {rng.randrange(10**6)}"])
            late = rng.choice([0, 0, 200, 5_000, rng.randrange(OVERLAP - 2_000)])
            for _ in range(rng.choice([1, 1, 2])):
                group.write(name, text, late=late)
                wrote[name][text] += 1
            await asyncio.sleep(rng.random() * 2)
        await asyncio.sleep(OVERLAP / 1000)
        await end([*followers, *others])
        for name, follower in zip(names, [*followers, others[0]], strict=True):
            assert Counter(follower.lines) == wrote[name]

    run_in_virtual_time(work())


def test_streams_that_come_to_be_one_after_the_other_and_foreign_ones() -> None:
    """A stream need not exist at first, may never exist, and those of other tasks under the prefix are passed over."""

    async def work() -> None:
        group = FakeLogGroup()
        poller = group.poller()
        others = await crowd(poller)
        followers = [Follower(poller, f"{PREFIX}{at}") for at in range(5)]
        for at in range(4):
            await asyncio.sleep(40)
            group.write(f"{PREFIX}{at}", f"first of {at}")
            group.write(f"{PREFIX}foreign-{at}", "not ours")
        await asyncio.sleep(10)
        await end([*followers, *others])
        assert [each.lines for each in followers] == [*([f"first of {at}"] for at in range(4)), []]

    run_in_virtual_time(work())


def test_an_older_stream_is_read_to_its_end_and_then_with_the_others() -> None:
    """What it had is there once, in order, and so is what comes then."""

    async def work() -> None:
        group = FakeLogGroup()
        poller = group.poller()
        others = await crowd(poller)
        for number in range(50):
            group.write(f"{PREFIX}old", f"old {number}", at=group.now - 1_000 * (50 - number))
        follower = Follower(poller, f"{PREFIX}old", age=3600)
        await asyncio.sleep(5)
        for number in range(50):
            group.write(f"{PREFIX}old", f"new {number}")
            await asyncio.sleep(0.2)
        await end([follower, *others])
        assert follower.lines == [*(f"old {n}" for n in range(50)), *(f"new {n}" for n in range(50))]
        assert any(operation == "FilterLogEvents" for _, operation in group.requests)

    run_in_virtual_time(work())


@pytest.mark.parametrize("age", [0, 3600])
def test_a_stream_that_two_follow(age: int) -> None:
    """Each of them has every line once, also where one of two more leaves."""

    async def work() -> None:
        group = FakeLogGroup()
        poller = group.poller()
        others = await crowd(poller)
        lines = [f"line {number}" for number in range(50)]
        for line in lines[:25]:
            group.write(f"{PREFIX}shared", line)
        followers = [Follower(poller, f"{PREFIX}shared", age=age) for _ in range(3)]
        await asyncio.sleep(5)
        followers.pop().following.cancel()
        for line in lines[25:]:
            group.write(f"{PREFIX}shared", line)
            await asyncio.sleep(0.2)
        async with asyncio.timeout(60):
            await end([*followers, *others])
        assert [each.lines for each in followers] == [lines, lines]

    run_in_virtual_time(work())


def test_a_stream_that_is_deleted_harms_no_other() -> None:
    """FilterLogEvents refuses a request that names it: the others are read without it."""

    async def work() -> None:
        group = FakeLogGroup()
        poller = group.poller()
        others = await crowd(poller)
        followers = [Follower(poller, f"{PREFIX}{at}") for at in range(9)]
        for at in range(9):
            group.write(f"{PREFIX}{at}", f"a{at}")
        await asyncio.sleep(5)
        gone = f"{PREFIX}4"
        del group.streams[gone]
        for at in (3, 5):
            group.write(f"{PREFIX}{at}", f"b{at}")
        await asyncio.sleep(5)
        await end([*followers, *others])
        assert followers[3].lines == ["a3", "b3"]
        assert followers[4].lines == ["a4"]
        assert followers[5].lines == ["a5", "b5"]

    run_in_virtual_time(work())


def test_where_filter_log_events_is_denied(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and the streams are read one by one."""

    async def work() -> None:
        denied = refused("AccessDeniedException")
        group = FakeLogGroup(fail=lambda operation, _: denied if operation == "FilterLogEvents" else None)
        poller = group.poller()
        followers = [*await crowd(poller), *(Follower(poller, f"{PREFIX}{at}") for at in range(5))]
        for at in range(5):
            group.write(f"{PREFIX}{at}", f"a{at}")
        await asyncio.sleep(5)
        followers.append(Follower(poller, f"{PREFIX}0"))
        await end(followers)
        assert [each.lines for each in followers[MAX_READ_SINGLY:]] == [*([f"a{at}"] for at in range(5)), ["a0"]]

    run_in_virtual_time(work())
    assert caplog.text.count("logs:FilterLogEvents is denied") == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refused("AccessDeniedException"), AccessDeniedException),
        (EndpointConnectionError(endpoint_url="http://logs"), AnswerLost),
    ],
)
def test_an_error_that_stays_reaches_each_follower(error: Exception, raised: type[Exception]) -> None:
    """After some lines too: they are handed over first."""

    async def work() -> None:
        broken: list[bool] = []
        group = FakeLogGroup(fail=lambda operation, _: error if broken and operation == "FilterLogEvents" else None)
        poller = group.poller()
        others = await crowd(poller)
        followers = [Follower(poller, f"{PREFIX}{at}") for at in range(3)]
        for at in range(3):
            group.write(f"{PREFIX}{at}", f"a{at}")
        await asyncio.sleep(5)
        broken.append(True)
        for at, each in enumerate(followers):
            with pytest.raises(raised):
                await each.following
            assert each.lines == [f"a{at}"]
        await end(others)

    run_in_virtual_time(work())


def test_the_end_of_the_client_ends_what_is_followed() -> None:
    """Each follower receives an error; a follower that leaves, and the last one, leave no reading behind."""

    async def work() -> None:
        group = FakeLogGroup()
        poller = group.poller()
        others = await crowd(poller)
        first, second, third = (Follower(poller, f"{PREFIX}{at}") for at in range(3))
        await asyncio.sleep(3)
        first.following.cancel()
        await asyncio.sleep(3)
        poller.close()
        for each in (second, third):
            with pytest.raises(ClientStateError, match="closed"):
                await each.following
        await end(others)
        assert [task for task in asyncio.all_tasks() if task.get_name() == "aioecs log group"] == []
        again = Follower(poller, f"{PREFIX}again")
        await asyncio.sleep(0)
        again.following.cancel()

    run_in_virtual_time(work())
