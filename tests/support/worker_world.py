"""What the tests of workers share: moto's SQS, a queue with dead letters, and a worker between it and a local ECS."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import pytest
from aiobotocore.session import AioSession

import aioecs
from aioecs.testing import LocalECS
from aioecs.worker import MemoryLedger, Message, Worker

SESSION = AioSession()  # botocore reads its service models once for each session
CLOCKS = aioecs.Timeouts(connect=1, attempt=1, consistency=0.2, settle=0.5, drain=1)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server in a thread."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def atomic_moto() -> Iterator[str]:
    """Run moto's server so that its threads take turns: its conditional writes are not atomic by themselves."""
    from moto.dynamodb.models import DynamoDBBackend

    with pytest.MonkeyPatch.context() as patch, moto_server() as url:
        turn = threading.Lock()
        for name in ("update_item", "delete_item"):
            patch.setattr(DynamoDBBackend, name, _one_by_one(getattr(DynamoDBBackend, name), turn))
        yield url


def _one_by_one(write: Callable[..., Any], turn: threading.Lock) -> Callable[..., Any]:
    def written(*args: Any, **members: Any) -> Any:
        with turn:
            return write(*args, **members)

    return written


@attrs.frozen
class World:
    """A queue with its dead letters, a local ECS, and a client of it."""

    sqs: Any
    url: str
    queue: str
    dead: str
    local: LocalECS
    client: aioecs.Client

    async def send(self, *bodies: str) -> None:
        """Send them, in order."""
        for at in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
            await self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    async def count(self, queue: str | None = None) -> tuple[int, int]:
        """Count a queue's messages: those that are visible, and those that aren't."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)
        return int(answer["Attributes"][names[0]]), int(answer["Attributes"][names[1]])

    def to_request(self, message: Message) -> aioecs.StartTaskRequest:
        """Make a request whose group is the message's body."""
        return aioecs.StartTaskRequest(
            task_definition="demo", container_instances=self.local.instance_arns[:1], group=message.body
        )

    def worker(self, **more: Any) -> Worker:
        """Make a worker of this queue, whose jobs are keyed by their bodies."""
        given: dict[str, Any] = {
            "to_request": self.to_request,
            "key": lambda message: message.body,
            "ledger": MemoryLedger(),
            "visibility": 10,
            "drain": 2,
            "skew": 0.1,
            "long_poll": 1,
            "sqs_endpoint_url": self.url,
            "session": SESSION,
            **more,
        }
        return Worker(self.client, self.queue, given.pop("to_request"), **given)

    def groups(self) -> list[str]:
        """Return the groups of the tasks that run, sorted."""
        return sorted(task.group for task in self.local.truth.running())


@asynccontextmanager
async def a_world(url: str, *, receives: int = 10, **options: Any) -> AsyncIterator[World]:
    """Open a world whose queue gives a message so many times before it is a dead letter."""
    local = LocalECS(**{"cpu": 10**6, "memory": 10**6, **options})
    async with local, SESSION.create_client("sqs", endpoint_url=url, region_name="us-east-1") as sqs:
        name = uuid.uuid4().hex
        dead = (await sqs.create_queue(QueueName=f"dead-{name}"))["QueueUrl"]
        found = await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = json.dumps({"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": receives})
        queue = (await sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy}))["QueueUrl"]
        async with aioecs.Client(**local.client_kwargs(), session=SESSION, timeouts=CLOCKS, pacing=None) as client:
            yield World(sqs, url, queue, dead, local, client)


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[aioecs.CancelToken]:
    """Run it for the block, and end it by the token that is yielded."""
    token = aioecs.CancelToken()
    async with asyncio.TaskGroup() as group:
        run = group.create_task(worker.run(token))
        try:
            yield token
        finally:
            token.cancel("the test is over")
            await asyncio.wait([run])


async def until(true: Callable[[], object], patience: float = 15.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(patience):
        while not true():
            await asyncio.sleep(0.01)
