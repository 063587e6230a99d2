"""receiver: messages are received while more may be in flight, and handled until they are finished or returned."""

from __future__ import annotations

import asyncio
import random

import pytest
from fake_sqs import URL, FakeSQS, sqs_error
from virtual_time import run_in_virtual_time

from aioecs.worker._shutdown import Shutdown
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import Queue
from aioecs.worker._sqs.receiver import Receiver


class Scene:
    """A receiver that handles each message for a second."""

    def __init__(self, sqs: FakeSQS, *, concurrency: int = 100, long_poll: int = 20, drain: float = 5.0) -> None:
        self.sqs = sqs
        self.queue = Queue(sqs, URL)
        self.messages = InFlightMessages(self.queue, 60)
        self.shutdown = Shutdown(drain)
        self.receiver = Receiver("it", self.shutdown, concurrency=concurrency, visibility=60, long_poll=long_poll)
        self.most = 0

    async def handle(self, message: Message) -> None:
        """Delete a message after a second; return it if that is cut."""
        self.messages.hold(message)
        self.most = max(self.most, len(self.receiver.in_flight))
        return_in: float | None = 0.0
        try:
            await asyncio.sleep(1)
            return_in = None
        finally:
            self.messages.finish(message, return_in)

    async def run(self, seconds: float) -> float:
        """Receive until the shutdown, which begins then; return how long the end takes, in seconds."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        loop.call_at(ends, self.shutdown.request, "test")
        async with self.receiver.handling(self.messages) as group:
            while not self.shutdown.requested:
                for message in await self.receiver.receive(self.queue):
                    self.receiver.begin(self.handle(message), group)
        return loop.time() - ends


def asked(sqs: FakeSQS) -> list[int]:
    """Return for how many messages each receive has asked."""
    return [members["MaxNumberOfMessages"] for method, members in sqs.requests if method == "receive_message"]


@pytest.mark.parametrize(("concurrency", "first"), [(1, [1, 1]), (12, [10, 2]), (100, [10, 10])])
def test_no_more_than_may_be_in_flight(concurrency: int, first: list[int]) -> None:
    """A receive asks for as many as may begin, so that none is hidden while it waits."""

    async def main() -> None:
        scene = Scene(FakeSQS(*map(str, range(30))), concurrency=concurrency)
        await scene.run(40)
        assert (scene.most, asked(scene.sqs)[:2]) == (min(concurrency, 30), first)
        assert not scene.sqs.messages

    run_in_virtual_time(main())


@pytest.mark.parametrize("unexpected", [False, True])
def test_an_idle_receiver_asks_once_in_a_second(unexpected: bool) -> None:
    """Without a long poll, or of an endpoint that answers it at once with something else."""

    async def main() -> None:
        sqs = FakeSQS()
        sqs.unexpected_answer = unexpected
        await Scene(sqs, long_poll=20 if unexpected else 0).run(100)
        assert 90 < len(asked(sqs)) < 110

    run_in_virtual_time(main())


def test_a_queue_that_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is asked again after growing delays; an error that no later attempt avoids begins the shutdown."""
    monkeypatch.setattr(random, "random", lambda: 1.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        scene = Scene(FakeSQS(receive_message=[*[sqs_error()] * 6, sqs_error("AccessDenied")]))
        began = loop.time()
        await scene.run(600)
        assert str(scene.shutdown.error) == "receive_message: AccessDenied"
        assert 1 + 2 + 4 + 8 + 10 + 10 <= loop.time() - began < 36

    run_in_virtual_time(main())
    assert caplog.text.count("it can't receive: receive_message: InternalError") == 6


@pytest.mark.parametrize(("drain", "left"), [(5.0, 1), (0.2, 2)])
def test_the_end_while_no_more_may_be_in_flight(drain: float, left: int) -> None:
    """What is handled is waited for while it drains, and returned after that."""

    async def main() -> None:
        scene = Scene(FakeSQS("a", "b"), concurrency=1, drain=drain)
        assert await scene.run(0.5) == pytest.approx(min(drain, 0.5), abs=0.1)
        assert scene.sqs.count() == (left, 0)

    run_in_virtual_time(main())
