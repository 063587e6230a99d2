"""Workers in processes of their own, for `worker_kills`: with moto's SQS and DynamoDB, a local ECS, and SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import attrs

import aioecs
from aioecs.testing import Fault, LocalECS, LocalTask
from aioecs.worker import DynamoDBLedger, Ledger, Message, SQLiteLedger, Worker
from aioecs.worker._jobs import timing

WORKERS = 3
LATENCY = 1.0  # in seconds: the delay of a start
HOSTS = 20
SLOTS = 4  # tasks that fit on a host, where jobs are placed
BAD_HOSTS = 3  # hosts without an agent, and as many that are draining
TIMEOUTS = aioecs.Timeouts(connect=1, attempt=2, consistency=1, settle=2, drain=2)
KEYS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true"}
FAILING_JOBS = (0, 1)  # of each 20: always fail
RECOVERING_JOB = 2  # of each 20: fails twice

OPTIONS: dict[str, dict[str, Any]] = {
    "named": {"concurrency": 10},
    "placed": {"concurrency": 40, "wait_for_capacity": 600},
    "stopped": {"concurrency": 20, "until": "stopped", "retry_failed": 2},
}
"""The options of a worker in each scenario."""


@attrs.frozen
class WorkerSettings:
    """The settings of a worker process."""

    scenario: str
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


def serve_ecs(connection: Connection, scenario: str) -> None:
    """Serve a local ECS: large hosts, or for "placed" small ones, some of which must not be used."""
    rng, attempts = random.Random(4), Counter[str]()

    def exit_code(task: LocalTask) -> int:
        attempts[task.group or ""] += 1
        kind = int(task.group or 0) % 20
        return int(kind in FAILING_JOBS or (kind == RECOVERING_JOB and attempts[task.group or ""] < 3))

    def seconds(least: float, most: float) -> Callable[[LocalTask], float]:
        return lambda task: rng.uniform(least, most) if task.id else 0.0

    options: dict[str, Any] = {"instances": HOSTS, "cpu": 10**6, "memory": 10**6}
    if scenario == "placed":
        options = {
            "instances": HOSTS,
            "cpu": SLOTS * 10,
            "memory": SLOTS * 10,
            "running_seconds": seconds(2, 5),
            # The hardest for a lookup: stopped tasks are listed by their instance alone.
            "started_by_with_status": "ignore",
            "draining": "accept",
        }
    elif scenario == "stopped":
        options |= {"running_seconds": seconds(1, 4), "exit_code": exit_code}

    async def serve() -> None:
        async with LocalECS(faults=faults(), visibility_lag=0.5, **options) as local:
            good = local.instance_arns
            if scenario == "placed":
                local.engine.add_instances(BAD_HOSTS, cpu=10**6, memory=10**6, status="DRAINING")
                local.engine.add_instances(BAD_HOSTS, cpu=10**6, memory=10**6, agent_connected=False)
            connection.send((local.client_kwargs(), good))
            await asyncio.to_thread(connection.recv)

    asyncio.run(serve())


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
    timing.LONGEST_DELAY = 1.0  # so that a failed job reaches the dead-letter queue within the run
    asyncio.run(_work(settings))


async def _work(settings: WorkerSettings) -> None:
    ledger: Ledger = SQLiteLedger(settings.ledger)
    if settings.ledger == "dynamodb":
        ledger = DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=settings.aws)
    options = OPTIONS[settings.scenario]
    async with aioecs.Client(**settings.ecs, timeouts=TIMEOUTS, pacing=None) as ecs:
        worker = Worker(
            ecs,
            settings.queue,
            lambda message: _request(settings, message),
            key=lambda message: f"job-{json.loads(message.body)['job']}",
            ledger=ledger,
            visibility=5,
            drain=3,
            skew=0.5,
            long_poll=1,
            sqs_endpoint_url=settings.aws,
            **options,
        )
        await worker.run()


def _request(settings: WorkerSettings, message: Message) -> aioecs.StartTaskRequest:
    job = json.loads(message.body)["job"]
    instances = [] if settings.scenario == "placed" else [settings.instances[job % len(settings.instances)]]
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=instances, group=str(job))


@contextlib.contextmanager
def worker_processes(settings: WorkerSettings) -> Generator[list[BaseProcess]]:
    """Run workers during the block."""
    workers = [start_worker(settings) for _ in range(WORKERS)]
    try:
        yield workers
    finally:
        for process in workers:
            process.terminate()
        for process in workers:
            process.join(10)
            process.kill()


def start_worker(settings: WorkerSettings) -> BaseProcess:
    """Start the process of a worker."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(settings,), daemon=True)
    process.start()
    return process
