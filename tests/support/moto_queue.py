"""Queues on moto's SQS server, with dead-letter queues, and workers that read them and use a local ECS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import pytest
from aiobotocore.session import AioSession

import aioecs
from aioecs.testing import LocalECS
from aioecs.worker import MemoryLedger, Message, Worker, _message_handler
from aioecs.worker._jobs.decisions import MessageAction
from aioecs.worker._sqs import receiver

SESSION = AioSession()  # botocore reads its service models once for each session
TIMEOUTS = aioecs.Timeouts(connect=1, attempt=1, consistency=0.2, settle=0.5, drain=1)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server in a thread.

    Its SQS loses messages that are deleted while others move to a dead-letter queue: a lock keeps the two apart.
    """
    from moto.server import ThreadedMotoServer
    from moto.sqs.models import Queue, SQSBackend

    server, lock = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False), threading.Lock()
    receive = SQSBackend.receive_message

    def received(backend: Any, name: str, count: int, wait: int, *args: Any, **members: Any) -> Any:
        with contextlib.nullcontext() if wait else lock:  # a long poll would hold the lock
            return receive(backend, name, count, wait, *args, **members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Queue, "delete_message", _serialized(Queue.delete_message, lock))
        patch.setattr(SQSBackend, "receive_message", received)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


@contextmanager
def serialized_moto_server() -> Iterator[str]:
    """Run moto's server with its writes serialized by a lock, as moto's conditional writes are not atomic."""
    from moto.dynamodb.models import DynamoDBBackend

    with pytest.MonkeyPatch.context() as patch, moto_server() as url:
        lock = threading.Lock()
        for name in ("update_item", "delete_item"):
            patch.setattr(DynamoDBBackend, name, _serialized(getattr(DynamoDBBackend, name), lock))
        yield url


def _serialized(write: Callable[..., Any], lock: threading.Lock) -> Callable[..., Any]:
    def written(*args: Any, **members: Any) -> Any:
        with lock:
            return write(*args, **members)

    return written


def short_delays(patch: pytest.MonkeyPatch) -> None:
    """Let the growing delays of workers be short, and so the test."""
    patch.setattr(
        _message_handler,
        "delay",
        lambda action, **_: 0.05 if action is not MessageAction.RETURN_AFTER_LEASE else 1.0,
    )


class SkippedTime:
    """The time of this process's workers, ledgers and queues, which a test sets forward in place of waiting."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from moto.sqs import models

        self._ahead = 0.0
        clock, milliseconds = time.time, vars(models)["unix_time_millis"]
        patch.setattr(time, "time", lambda: clock() + self._ahead)
        patch.setattr(models, "unix_time_millis", lambda *given: milliseconds(*given) + self._ahead * 1000)

    def skip(self, seconds: float) -> None:
        """Set the time forward: leases end, and messages are visible again."""
        self._ahead += seconds


@attrs.frozen
class QueueSetup:
    """A queue with its dead-letter queue, a local ECS, and a client of it."""

    sqs: Any
    url: str
    queue: str
    dead_letters: str
    local: LocalECS
    client: aioecs.Client

    async def send(self, *bodies: str) -> None:
        """Send messages with these bodies, in order."""
        for at in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
            await self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    async def count(self, queue: str | None = None) -> tuple[int, int]:
        """Return the numbers of a queue's visible and invisible messages."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)
        return int(answer["Attributes"][names[0]]), int(answer["Attributes"][names[1]])

    def to_request(self, message: Message) -> aioecs.StartTaskRequest:
        """Return a request whose group is the message's body."""
        return aioecs.StartTaskRequest(
            task_definition="demo", container_instances=self.local.instance_arns[:1], group=message.body
        )

    def worker(self, **more: Any) -> Worker:
        """Return a worker of this queue, whose jobs have their bodies as keys."""
        given: dict[str, Any] = {
            "to_request": self.to_request,
            "key": lambda message: message.body,
            "ledger": MemoryLedger(),
            "visibility": 10,
            "drain": 2,
            "skew": 0.1,
            "long_poll": 0,
            "sqs_endpoint_url": self.url,
            "session": SESSION,
            **more,
        }
        return Worker(self.client, self.queue, given.pop("to_request"), **given)

    def groups(self) -> list[str]:
        """Return the groups of the tasks that run, sorted."""
        return sorted(task.group for task in self.local.truth.running())


@asynccontextmanager
async def queue_setup(url: str, *, receives: int = 10, **options: Any) -> AsyncIterator[QueueSetup]:
    """Open a setup whose queue delivers a message `receives` times before it is dead-lettered.

    Its workers ask the queue without long polls, which a worker that ends would wait for.
    """
    local = LocalECS(**{"cpu": 10**6, "memory": 10**6, **options})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiver, "idle_delay", lambda *_: 0.05)
        async with local, SESSION.create_client("sqs", endpoint_url=url, region_name="us-east-1") as sqs:
            name = uuid.uuid4().hex
            dead = (await sqs.create_queue(QueueName=f"dead-{name}"))["QueueUrl"]
            found = await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
            policy = json.dumps({"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": receives})
            queue = (await sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy}))["QueueUrl"]
            async with aioecs.Client(
                **local.client_kwargs(), session=SESSION, timeouts=TIMEOUTS, pacing=None
            ) as client:
                yield QueueSetup(sqs, url, queue, dead, local, client)


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[aioecs.CancelToken]:
    """Run a worker during the block; yields the token that ends it."""
    token = aioecs.CancelToken()
    async with asyncio.TaskGroup() as group:
        run = group.create_task(worker.run(token))
        try:
            yield token
        finally:
            token.cancel("the test is over")
            await asyncio.wait([run])


async def until(condition: Callable[[], object], timeout: float = 15.0) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)
