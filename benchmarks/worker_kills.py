"""Three workers, one of them killed every few seconds, and each job started exactly once.

    python -m benchmarks.worker_kills [--quick] [--scenario named|placed|stopped] [--ledger dynamodb|sqlite]

500 jobs come from a standard queue (moto's server, in its own process). The local ECS delays each start, and 5 % of its
answers are lost, after the start took effect or before. SIGKILL ends a worker while starts are in flight, and another
one replaces it. Each scenario runs once with a DynamoDB ledger and once with a SQLite ledger:

named    Each job is sent twice, and names its container instance.
placed   Each job is sent twice, and the worker places it: 80 slots on 20 hosts, beside hosts that are draining or have
         no agent. Tasks end after 2 to 5 s, so most jobs wait for capacity.
stopped  `until="stopped"`: 10 % of the jobs fail always, and are tried three times; 5 % fail twice.

At the end every job must have exactly its tasks, each on a host that had capacity, and the queue must be empty. The
dead-letter queue must have exactly the jobs that failed three times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import boto3

from aioecs.worker import DynamoDBLedger
from benchmarks.harness import Figures, about, bound, print_bounds, server_process, table
from benchmarks.server import ServedECS
from benchmarks.worker_processes import (
    FAILING_JOBS,
    KEYS,
    LATENCY,
    OPTIONS,
    RECOVERING_JOB,
    SLOTS,
    WorkerSettings,
    serve_aws,
    serve_ecs,
    start_worker,
    worker_processes,
)

KILL_INTERVAL = 4.0  # in seconds, the mean time between two kills; a few starts come between them too
MOST_RECEIVES = {"stopped": 30}
"""After so many receives a message is a dead letter; where jobs are sent twice, one copy waits long for the other."""
SCENARIOS = tuple(OPTIONS)
LEDGERS = ("dynamodb", "sqlite")


@attrs.frozen
class Row:
    """The result of one run."""

    scenario: str
    ledger: str
    jobs: int
    messages: int
    kills: int
    during_start: int
    """Kills while starts were in flight."""
    missing: int
    """Tasks that jobs lack."""
    surplus: int
    """Tasks that jobs have beyond those they must have."""
    bad_hosts: int
    """Tasks on a host that was full, draining or without an agent."""
    in_queue: int
    dead_letters: int
    wrong_fates: int
    """Jobs that are in the dead-letter queue and should not be, or should be and are not."""
    seconds: float


def run(scenario: str, kind: str, jobs: int) -> Row:
    """Run the workers of a scenario with a ledger of this kind."""
    os.environ.update(KEYS)
    with (
        server_process(serve_aws) as aws,
        server_process(serve_ecs, scenario) as (kwargs, instances),
        tempfile.TemporaryDirectory() as folder,
    ):
        served = ServedECS(kwargs, instances)
        sqs = boto3.client("sqs", endpoint_url=aws, region_name="us-east-1")
        queue, dead_letters = _queues(sqs, MOST_RECEIVES.get(scenario, 1000))
        ledger = str(Path(folder) / "jobs.db") if kind == "sqlite" else "dynamodb"
        settings = WorkerSettings(scenario, aws, queue, dict(kwargs), instances, ledger)
        if kind == "dynamodb":
            asyncio.run(_create_table(aws))
        messages = _send(sqs, queue, jobs, copies=1 if scenario == "stopped" else 2)
        began = time.monotonic()
        kills = _kill_until_empty(sqs, queue, settings, served, most=300 + 3 * jobs)
        seconds = time.monotonic() - began
        truth = served.truth()
        dead = _bodies(sqs, dead_letters)
        expected = Counter({str(job): _attempts(scenario, job) for job in range(jobs)})
        tasks = Counter(task["group"] for task in truth["tasks"])
        must_die = {job for job in range(jobs) if scenario == "stopped" and job % 20 in FAILING_JOBS}
        return Row(
            scenario=scenario,
            ledger=kind,
            jobs=jobs,
            messages=messages,
            kills=len(kills),
            during_start=_during_start(kills, truth["calls"]),
            missing=(expected - tasks).total(),
            surplus=(tasks - expected).total(),
            bad_hosts=_on_bad_hosts(truth["tasks"], set(instances)) if scenario == "placed" else 0,
            in_queue=_left(sqs, queue),
            dead_letters=len(dead),
            wrong_fates=len(must_die ^ set(dead)),
            seconds=seconds,
        )


def _attempts(scenario: str, job: int) -> int:
    """Return how many tasks a job must have."""
    return 3 if scenario == "stopped" and job % 20 in (*FAILING_JOBS, RECOVERING_JOB) else 1


def _on_bad_hosts(tasks: list[dict[str, Any]], good: set[str]) -> int:
    """Count the tasks on hosts that must not be used, and those that were started on a full host."""
    found, by_host = 0, defaultdict[str, list[tuple[float, int]]](list)
    for task in tasks:
        host = task["container_instance_arn"]
        found += host not in good
        by_host[host] += [(task["created_at"], 1), (task["stopped_at"] or float("inf"), -1)]
    for host, changes in by_host.items():
        running = 0
        for _, change in sorted(changes):  # at the same time, the ends come first
            running += change
            found += host in good and change > 0 and running > SLOTS
    return found


async def _create_table(aws: str) -> None:
    async with DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=aws) as ledger:
        await ledger.create_table()


def _queues(sqs: Any, most_receives: int) -> tuple[str, str]:
    dead_letters = sqs.create_queue(QueueName="dead_letters")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": most_receives})
    queue = sqs.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return queue, dead_letters


def _send(sqs: Any, queue: str, jobs: int, copies: int) -> int:
    """Send each job so many times, all shuffled; return the number of messages."""
    bodies = [json.dumps({"job": job}) for job in range(jobs)] * copies
    random.Random(1).shuffle(bodies)
    for at in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    return len(bodies)


def _left(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def _bodies(sqs: Any, queue: str) -> list[int]:
    """Receive all jobs of a queue."""
    jobs: list[int] = []
    while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages"):
        jobs += [json.loads(each["Body"])["job"] for each in found]
    return jobs


def _kill_until_empty(sqs: Any, queue: str, settings: WorkerSettings, served: ServedECS, most: float) -> list[float]:
    """After the first start, kill workers until the queue is empty; return the times, in epoch seconds."""
    rng, kills = random.Random(2), list[float]()
    deadline = time.monotonic() + most
    with worker_processes(settings) as workers:
        while time.monotonic() < deadline and not served.truth()["calls"]:
            time.sleep(0.05)
        while time.monotonic() < deadline and _left(sqs, queue):
            at = rng.randrange(len(workers))
            kills.append(time.time())
            workers[at].kill()
            workers[at].join()
            workers[at] = start_worker(settings)
            time.sleep(KILL_INTERVAL * rng.uniform(0.5, 1.5))
            _await_starts(served, deadline)
    return kills


def _await_starts(served: ServedECS, deadline: float) -> None:
    """Wait until workers start tasks: on a busy machine a new process would be killed before it has begun."""
    before, latest = len(served.truth()["calls"]), time.monotonic() + 30
    while time.monotonic() < min(deadline, latest) and len(served.truth()["calls"]) < before + 3:
        time.sleep(0.2)


def _during_start(kills: list[float], calls: list[dict[str, Any]]) -> int:
    """Count the kills while starts were in flight; the local ECS records a start when it takes effect."""
    effects = [call["at"] for call in calls if call["operation"] == "StartTask" and call["fault"] == "delay"]
    return sum(any(kill < at < kill + LATENCY for at in effects) for kill in kills)


def figures(quick: bool, scenarios: Iterable[str] = SCENARIOS, ledgers: Iterable[str] = LEDGERS) -> Figures:
    """Run the scenarios with the ledgers."""
    kinds = list(ledgers)
    rows = [run(scenario, kind, 60 if quick else 500) for scenario in scenarios for kind in kinds]
    return {"rows": [attrs.asdict(row) for row in rows], "bounds": [each for row in rows for each in _bounds(row)]}


def _bounds(row: Row) -> list[Figures]:
    name = f"{row.scenario}, {row.ledger}"
    counts = {
        "tasks missing": row.missing,
        "tasks too many": row.surplus,
        "tasks on bad hosts": row.bad_hosts,
        "messages left": row.in_queue,
        "wrong fates": row.wrong_fates,
    }
    # Without a kill during a start the run shows nothing.
    hit = bound(f"{name}: kills during starts", row.during_start, least=1, exact=True)
    return [hit, *(bound(f"{name}: {what}", found, most=0, exact=True) for what, found in counts.items())]


def text(found: Figures) -> str:
    """Return the report."""
    names = [field.name for field in attrs.fields(Row)]
    rows = [[row[name] if name != "seconds" else f"{row[name]:.0f}" for name in names] for row in found["rows"]]
    return table([name.replace("_", " ") for name in names], rows)


def main() -> int:
    """Run what the command line names, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 jobs, as proof that it runs")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="only this one; may be repeated")
    parser.add_argument("--ledger", choices=LEDGERS, action="append", help="only this one; may be repeated")
    given = parser.parse_args()
    print(about(), "\n")
    found = figures(given.quick, given.scenario or SCENARIOS, given.ledger or LEDGERS)
    print(text(found))
    return print_bounds(found["bounds"], given.quick)


if __name__ == "__main__":
    raise SystemExit(main())
