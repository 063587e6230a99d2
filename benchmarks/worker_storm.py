"""Three workers, one of them killed every few seconds in mid-start, and each job started exactly once.

    python -m benchmarks.worker_storm [--quick]

500 jobs, each sent twice to a standard queue (moto's server, in a process of its own). The local ECS takes its time
over each start, and of its answers 5 % are lost: after the start took effect, or before. SIGKILL hits a worker while
starts are on the wire; another takes its place. At the end every job must have exactly one task, the queue must be
empty, and the dead-letter queue too. Once with the ledger in DynamoDB, once in a SQLite file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import attrs
import boto3

import aioecs
from aioecs.testing import Fault
from aioecs.worker import DynamoDBLedger, Ledger, Message, SQLiteLedger, Worker
from benchmarks.rig import Figures, bound, elsewhere, report, table
from benchmarks.server import Served, serving

WORKERS = 3
SLOW = 1.0  # in seconds: how long a start is on the wire
KILLS = 4.0  # in seconds, between two kills
MOST_RECEIVES = 20
CLOCKS = aioecs.Timeouts(connect=1, attempt=2, consistency=1, settle=2, drain=2)
KEYS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true"}


@attrs.frozen
class Place:
    """What a worker process is told."""

    aws: str
    queue: str
    ecs: dict[str, Any]
    instances: list[str]
    ledger: str
    """`dynamodb`, or the path of a file."""


def faults() -> list[Fault]:
    """Return the storm: 5 % lose their answer, most of them after the start took effect, and all the rest are slow."""
    lost = [Fault(kind, when="after", times=None, chance=0.01) for kind in ("reset", "close", "truncated", "error")]
    never = [Fault("reset", when="before", times=None, chance=0.01)]
    return [*lost, *never, Fault("delay", times=None, seconds=SLOW)]


def serve_aws(connection: Connection) -> None:
    """Serve moto's SQS and DynamoDB; conditional writes take turns, for moto's are not atomic by themselves."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.server import ThreadedMotoServer

    turn = threading.Lock()

    def one_by_one(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*args: Any, **members: Any) -> Any:
            with turn:
                return write(*args, **members)

        return written

    for name in ("update_item", "delete_item"):
        setattr(DynamoDBBackend, name, one_by_one(getattr(DynamoDBBackend, name)))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection.send(f"http://{host}:{port}")
    connection.recv()
    server.stop()


def work(place: Place) -> None:
    """Be a worker, until killed or told to end by SIGTERM."""
    os.environ.update(KEYS)
    logging.getLogger("aioecs").setLevel(logging.ERROR)

    async def run() -> None:
        ledger: Ledger = SQLiteLedger(place.ledger)
        if place.ledger == "dynamodb":
            ledger = DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=place.aws)
        async with aioecs.Client(**place.ecs, timeouts=CLOCKS, pacing=None) as ecs:
            instances = place.instances

            def to_request(message: Message) -> aioecs.StartTaskRequest:
                job = json.loads(message.body)["job"]
                return aioecs.StartTaskRequest(
                    task_definition="demo", container_instances=[instances[job % len(instances)]], group=str(job)
                )

            worker = Worker(
                ecs,
                place.queue,
                to_request,
                key=lambda message: f"job-{json.loads(message.body)['job']}",
                ledger=ledger,
                concurrency=10,
                visibility=5,
                drain=3,
                skew=0.5,
                long_poll=1,
                sqs_endpoint_url=place.aws,
            )
            await worker.run()

    asyncio.run(run())


@attrs.frozen
class Row:
    """What a storm came to."""

    ledger: str
    jobs: int
    messages: int
    kills: int
    in_mid_start: int
    """Kills that came while starts were on the wire."""
    missing: int
    doubled: int
    in_queue: int
    in_dead_letters: int
    seconds: float


def storm(kind: str, jobs: int) -> Row:
    """Run one, with the ledger of this kind."""
    os.environ.update(KEYS)
    with (
        elsewhere(serve_aws) as aws,
        serving(faults(), instances=20, cpu=10**6, memory=10**6, visibility_lag=0.5) as served,
        tempfile.TemporaryDirectory() as folder,
    ):
        sqs = boto3.client("sqs", endpoint_url=aws, region_name="us-east-1")
        queue, dead = _queues(sqs)
        ledger = str(Path(folder) / "jobs.db") if kind == "sqlite" else "dynamodb"
        place = Place(aws, queue, dict(served.kwargs), served.instances, ledger)
        if kind == "dynamodb":
            asyncio.run(_table(aws))
        _send(sqs, queue, jobs)
        began = time.monotonic()
        kills = _worked_off(sqs, queue, place, served, most=60 + jobs)
        return _judged(kind, jobs, served, kills, _left(sqs, queue), _left(sqs, dead), time.monotonic() - began)


async def _table(aws: str) -> None:
    async with DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=aws) as ledger:
        await ledger.create_table()


def _queues(sqs: Any) -> tuple[str, str]:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_RECEIVES})
    queue = sqs.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return queue, dead


def _send(sqs: Any, queue: str, jobs: int) -> None:
    """Send each job twice, all shuffled."""
    bodies = [json.dumps({"job": job}) for job in range(jobs)] * 2
    random.Random(1).shuffle(bodies)
    for at in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def _left(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


@contextlib.contextmanager
def _crew(place: Place) -> Iterator[list[BaseProcess]]:
    crew = [_hired(place) for _ in range(WORKERS)]
    try:
        yield crew
    finally:
        for process in crew:
            process.terminate()
        for process in crew:
            process.join(10)
            process.kill()


def _hired(place: Place) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work, args=(place,), daemon=True)
    process.start()
    return process


def _worked_off(sqs: Any, queue: str, place: Place, served: Served, most: float) -> list[float]:
    """Kill one after the other until the queue is empty, from the first start on; return when, in epoch seconds."""
    dice, kills = random.Random(2), list[float]()
    ends = time.monotonic() + most
    with _crew(place) as crew:
        while time.monotonic() < ends and not served.truth()["calls"]:
            time.sleep(0.05)
        while time.monotonic() < ends and _left(sqs, queue):
            at = dice.randrange(len(crew))
            kills.append(time.time())
            crew[at].kill()
            crew[at].join()
            crew[at] = _hired(place)
            time.sleep(KILLS * dice.uniform(0.5, 1.5))
    return kills


def _in_mid_start(kills: list[float], calls: list[dict[str, Any]]) -> int:
    """Count the kills that came while starts were on the wire: the ECS writes one down when it takes effect."""
    effects = [call["at"] for call in calls if call["operation"] == "StartTask" and call["fault"] == "delay"]
    return sum(any(kill < at < kill + SLOW for at in effects) for kill in kills)


def _judged(kind: str, jobs: int, served: Served, kills: list[float], in_queue: int, dead: int, seconds: float) -> Row:
    truth = served.truth()
    tasks = Counter(task["group"] for task in truth["tasks"] if task["desired_status"] == "RUNNING")
    return Row(
        ledger=kind,
        jobs=jobs,
        messages=2 * jobs,
        kills=len(kills),
        in_mid_start=_in_mid_start(kills, truth["calls"]),
        missing=sum(tasks[str(job)] == 0 for job in range(jobs)),
        doubled=sum(count > 1 for count in tasks.values()),
        in_queue=in_queue,
        in_dead_letters=dead,
        seconds=seconds,
    )


def figures(quick: bool) -> Figures:
    """Run the storm with both ledgers."""
    rows = [storm(kind, 60 if quick else 500) for kind in ("dynamodb", "sqlite")]
    return {"rows": [attrs.asdict(row) for row in rows], "bounds": [each for row in rows for each in _bounds(row)]}


def _bounds(row: Row) -> list[Figures]:
    asked = {
        "jobs without a task": row.missing,
        "jobs with more than one": row.doubled,
        "messages left": row.in_queue,
        "dead letters": row.in_dead_letters,
    }
    # A storm that hit nobody in mid-start has shown nothing.
    hit = bound(f"{row.ledger}: kills in mid-start", row.in_mid_start, least=1, exact=True)
    return [hit, *(bound(f"{row.ledger}: {what}", found, most=0, exact=True) for what, found in asked.items())]


def text(found: Figures) -> str:
    """Say all of it."""
    names = [field.name for field in attrs.fields(Row)]
    rows = [[row[name] if name != "seconds" else f"{row[name]:.0f}" for name in names] for row in found["rows"]]
    return table([name.replace("_", " ") for name in names], rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
