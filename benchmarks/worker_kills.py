"""Three workers, one of them killed every few seconds during starts, and each job started exactly once.

    python -m benchmarks.worker_kills [--quick]

500 jobs, each sent twice to a standard queue (moto's server, in its own process). The local ECS delays each start, and
5 % of its answers are lost, after the start took effect or before. SIGKILL ends a worker while starts are in flight,
and another one replaces it. At the end every job must have exactly one task, and the queue and the dead-letter queue
must be empty. Once with a DynamoDB ledger, once with a SQLite ledger.
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
from benchmarks.harness import Figures, bound, report, server_process, table
from benchmarks.server import ServedECS, serving

WORKERS = 3
LATENCY = 1.0  # in seconds: the delay of a start
KILL_INTERVAL = 4.0  # in seconds, the mean time between two kills
MOST_RECEIVES = 20
TIMEOUTS = aioecs.Timeouts(connect=1, attempt=2, consistency=1, settle=2, drain=2)
KEYS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true"}


@attrs.frozen
class WorkerSettings:
    """The settings of a worker process."""

    aws: str
    queue: str
    ecs: dict[str, Any]
    instances: list[str]
    ledger: str
    """`dynamodb`, or the path of a file."""


def faults() -> list[Fault]:
    """Return the faults: 5 % lose their answer, most of them after the start took effect; the others are delayed."""
    lost = [Fault(kind, when="after", times=None, chance=0.01) for kind in ("reset", "close", "truncated", "error")]
    never = [Fault("reset", when="before", times=None, chance=0.01)]
    return [*lost, *never, Fault("delay", times=None, seconds=LATENCY)]


def serve_aws(connection: Connection) -> None:
    """Serve moto's SQS and DynamoDB; a lock serializes writes, as moto's conditional writes are not atomic."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.server import ThreadedMotoServer

    lock = threading.Lock()

    def serialized(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*args: Any, **members: Any) -> Any:
            with lock:
                return write(*args, **members)

        return written

    for name in ("update_item", "delete_item"):
        setattr(DynamoDBBackend, name, serialized(getattr(DynamoDBBackend, name)))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection.send(f"http://{host}:{port}")
    connection.recv()
    server.stop()


def work(settings: WorkerSettings) -> None:
    """Run a worker until SIGKILL or SIGTERM."""
    os.environ.update(KEYS)
    logging.getLogger("aioecs").setLevel(logging.ERROR)

    async def run() -> None:
        ledger: Ledger = SQLiteLedger(settings.ledger)
        if settings.ledger == "dynamodb":
            ledger = DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=settings.aws)
        async with aioecs.Client(**settings.ecs, timeouts=TIMEOUTS, pacing=None) as ecs:
            instances = settings.instances

            def to_request(message: Message) -> aioecs.StartTaskRequest:
                job = json.loads(message.body)["job"]
                return aioecs.StartTaskRequest(
                    task_definition="demo", container_instances=[instances[job % len(instances)]], group=str(job)
                )

            worker = Worker(
                ecs,
                settings.queue,
                to_request,
                key=lambda message: f"job-{json.loads(message.body)['job']}",
                ledger=ledger,
                concurrency=10,
                visibility=5,
                drain=3,
                skew=0.5,
                long_poll=1,
                sqs_endpoint_url=settings.aws,
            )
            await worker.run()

    asyncio.run(run())


@attrs.frozen
class Row:
    """The result of one run."""

    ledger: str
    jobs: int
    messages: int
    kills: int
    during_start: int
    """Kills while starts were in flight."""
    missing: int
    doubled: int
    in_queue: int
    in_dead_letters: int
    seconds: float


def run(kind: str, jobs: int) -> Row:
    """Run the workers with a ledger of this kind."""
    os.environ.update(KEYS)
    with (
        server_process(serve_aws) as aws,
        serving(faults(), instances=20, cpu=10**6, memory=10**6, visibility_lag=0.5) as served,
        tempfile.TemporaryDirectory() as folder,
    ):
        sqs = boto3.client("sqs", endpoint_url=aws, region_name="us-east-1")
        queue, dead_letters = _queues(sqs)
        ledger = str(Path(folder) / "jobs.db") if kind == "sqlite" else "dynamodb"
        settings = WorkerSettings(aws, queue, dict(served.kwargs), served.instances, ledger)
        if kind == "dynamodb":
            asyncio.run(_table(aws))
        _send(sqs, queue, jobs)
        began = time.monotonic()
        kills = _kill_until_empty(sqs, queue, settings, served, most=60 + jobs)
        return _result(kind, jobs, served, kills, _left(sqs, queue), _left(sqs, dead_letters), time.monotonic() - began)


async def _table(aws: str) -> None:
    async with DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=aws) as ledger:
        await ledger.create_table()


def _queues(sqs: Any) -> tuple[str, str]:
    dead_letters = sqs.create_queue(QueueName="dead_letters")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_RECEIVES})
    queue = sqs.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return queue, dead_letters


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
def _workers(settings: WorkerSettings) -> Iterator[list[BaseProcess]]:
    workers = [_start_worker(settings) for _ in range(WORKERS)]
    try:
        yield workers
    finally:
        for process in workers:
            process.terminate()
        for process in workers:
            process.join(10)
            process.kill()


def _start_worker(settings: WorkerSettings) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work, args=(settings,), daemon=True)
    process.start()
    return process


def _kill_until_empty(sqs: Any, queue: str, settings: WorkerSettings, served: ServedECS, most: float) -> list[float]:
    """After the first start, kill workers until the queue is empty; return the times, in epoch seconds."""
    rng, kills = random.Random(2), list[float]()
    deadline = time.monotonic() + most
    with _workers(settings) as workers:
        while time.monotonic() < deadline and not served.truth()["calls"]:
            time.sleep(0.05)
        while time.monotonic() < deadline and _left(sqs, queue):
            at = rng.randrange(len(workers))
            kills.append(time.time())
            workers[at].kill()
            workers[at].join()
            workers[at] = _start_worker(settings)
            time.sleep(KILL_INTERVAL * rng.uniform(0.5, 1.5))
    return kills


def _during_start(kills: list[float], calls: list[dict[str, Any]]) -> int:
    """Count the kills while starts were in flight; the local ECS records a start when it takes effect."""
    effects = [call["at"] for call in calls if call["operation"] == "StartTask" and call["fault"] == "delay"]
    return sum(any(kill < at < kill + LATENCY for at in effects) for kill in kills)


def _result(
    kind: str, jobs: int, served: ServedECS, kills: list[float], in_queue: int, dead_letters: int, seconds: float
) -> Row:
    truth = served.truth()
    tasks = Counter(task["group"] for task in truth["tasks"] if task["desired_status"] == "RUNNING")
    return Row(
        ledger=kind,
        jobs=jobs,
        messages=2 * jobs,
        kills=len(kills),
        during_start=_during_start(kills, truth["calls"]),
        missing=sum(tasks[str(job)] == 0 for job in range(jobs)),
        doubled=sum(count > 1 for count in tasks.values()),
        in_queue=in_queue,
        in_dead_letters=dead_letters,
        seconds=seconds,
    )


def figures(quick: bool) -> Figures:
    """Run with both ledgers."""
    rows = [run(kind, 60 if quick else 500) for kind in ("dynamodb", "sqlite")]
    return {"rows": [attrs.asdict(row) for row in rows], "bounds": [each for row in rows for each in _bounds(row)]}


def _bounds(row: Row) -> list[Figures]:
    counts = {
        "jobs without a task": row.missing,
        "jobs with more than one": row.doubled,
        "messages left": row.in_queue,
        "dead letters": row.in_dead_letters,
    }
    # Without a kill during a start the run shows nothing.
    hit = bound(f"{row.ledger}: kills during starts", row.during_start, least=1, exact=True)
    return [hit, *(bound(f"{row.ledger}: {what}", found, most=0, exact=True) for what, found in counts.items())]


def text(found: Figures) -> str:
    """Return the report."""
    names = [field.name for field in attrs.fields(Row)]
    rows = [[row[name] if name != "seconds" else f"{row[name]:.0f}" for name in names] for row in found["rows"]]
    return table([name.replace("_", " ") for name in names], rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
