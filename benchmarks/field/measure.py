"""Runs each client through both storms, and holds what it said against what ECS did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection
from itertools import product
from typing import Any

import attrs

from benchmarks.field.clients import CLIENTS, HERE, FieldClient
from benchmarks.field.service import LATENCY, SEED, Service, serving
from benchmarks.harness import Figures, bound, table

STORMS = ("faulty", "cancelled")
TOGETHER = 10
LIMIT = 900.0
"""In seconds, for one client in one storm."""


@attrs.frozen
class FieldRow:
    """What one client did in one storm."""

    client: str
    operation: str
    storm: str
    cancel: str
    asked: int
    started: int
    """Starts of which a task runs."""
    duplicates: int
    """Tasks beyond the one that each start asked for."""
    lies: int
    """Reported as failed, and a task of it runs; or reported as started, and none does."""
    orphans: int
    """Tasks that run, whose ARN the client named to nobody, of starts that it did not report as unknown."""
    unknown: int
    seconds: float


@attrs.define
class Said:
    """What a client said of one start."""

    outcome: str = "cancelled"
    arns: set[str] = attrs.Factory(set[str])


def measure(client: FieldClient, operation: str, storm: str, starts: int) -> FieldRow:
    """Run one client through one storm."""
    with serving(storm) as service:
        began = time.perf_counter()
        lines = _run(client, operation, storm, starts, service)
        seconds = time.perf_counter() - began
        time.sleep(0.2)  # what was in flight as the driver ended has arrived by then
        return judge(client, operation, storm, starts, read_lines(lines), service.tasks(), seconds)


def _run(client: FieldClient, operation: str, storm: str, starts: int, service: Service) -> list[str]:
    settings = {
        "operation": operation,
        "storm": storm,
        "starts": starts,
        "seed": SEED,
        "together": TOGETHER,
        "latency": LATENCY,
        "instances": service.instances,
    }
    command = [*(client.command() or ()), json.dumps(settings), *client.last_arguments()]
    folder = client.folder if client.is_node else HERE
    done = subprocess.run(
        command, env=_environment(service), cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:] or f"exit code {done.returncode}")
    return [line for line in done.stdout.splitlines() if line.startswith("{")]


def _environment(service: Service) -> dict[str, str]:
    return {
        **os.environ,
        "AWS_ENDPOINT_URL_ECS": service.url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_PAGER": "",
        "PYTHONPATH": str(HERE.parents[1]),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW_HOME": str(HERE.parents[1] / ".venv" / "field" / "airflow-home"),
        "DO_NOT_TRACK": "1",
    }


def read_lines(lines: list[str]) -> dict[int, Said]:
    """Read what a driver reported; of one start the last outcome counts, and all ARNs."""
    said: dict[int, Said] = {}
    for line in lines:
        line_read: dict[str, Any] = json.loads(line)
        one = said.setdefault(line_read["number"], Said())
        one.outcome = line_read["outcome"]
        one.arns.update(line_read["arns"])
    return said


def judge(
    client: FieldClient,
    operation: str,
    storm: str,
    starts: int,
    said: dict[int, Said],
    tasks: list[dict[str, Any]],
    seconds: float,
) -> FieldRow:
    """Hold what a client said against the truth."""
    running: dict[int, set[str]] = {number: set() for number in range(starts)}
    for task in tasks:
        if task["desired_status"] == "RUNNING" and int(task["group"]) < starts:
            running[int(task["group"])].add(task["arn"])
    pairs = [(running[number], said.get(number, Said())) for number in range(starts)]
    return FieldRow(
        client=client.name,
        operation=operation,
        storm=storm,
        cancel=client.cancel,
        asked=starts,
        started=sum(bool(alive) for alive, _ in pairs),
        duplicates=sum(max(0, len(alive) - 1) for alive, _ in pairs),
        lies=sum(_is_lie(alive, one) for alive, one in pairs),
        orphans=sum(len(alive - one.arns) for alive, one in pairs if one.outcome != "unknown"),
        unknown=sum(one.outcome == "unknown" for _, one in pairs),
        seconds=round(seconds, 1),
    )


def _is_lie(alive: set[str], one: Said) -> bool:
    if one.outcome == "failed":
        return bool(alive)
    return one.outcome == "started" and not alive & one.arns


def figures(short: bool, starts: int | None = None, only: Collection[str] = ()) -> Figures:
    """Run every client that is installed, or `only` some, by their drivers.

    `missing` names what isn't installed, and `failed` says why a driver failed: the others run all the same.
    """
    missing = [client.name for client in CLIENTS if client.command() is None]
    chosen = [client for client in CLIENTS if client.name not in missing and (not only or client.driver in only)]
    rows: list[FieldRow] = []
    failed: dict[str, str] = {}
    for client in chosen:
        count = starts if starts is not None else 10 if short else client.starts
        try:
            rows += _both_storms(client, count)
        except (RuntimeError, subprocess.SubprocessError) as error:
            failed[client.name] = str(error)
            print(f"{client.name}: {error}", file=sys.stderr, flush=True)
    return {
        "rows": [attrs.asdict(row) for row in rows],
        "versions": list(dict.fromkeys(client.version() for client in chosen)),
        "date": time.strftime("%Y-%m-%d"),
        "missing": missing,
        "failed": failed,
        "bounds": bounds(rows, failed),
    }


def _both_storms(client: FieldClient, count: int) -> list[FieldRow]:
    rows: list[FieldRow] = []
    for operation, storm in product(client.operations, STORMS):
        rows.append(measure(client, operation, storm, count))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def bounds(rows: list[FieldRow], failed: Collection[str]) -> list[Figures]:
    """Hold aioecs against its promise; a driver that failed proves nothing."""
    own = [row for row in rows if row.client == "aioecs"]
    held = [
        bound(f"aioecs's {what} in the field", sum(getattr(row, what) for row in own), most=0, exact=True)
        for what in ("duplicates", "lies", "orphans")
    ]
    return [*held, bound("clients of the field whose driver failed", len(failed), most=0, exact=True)]


HEAD = (
    *("client", "operation", "starts", "duplicates", "lies", "orphans", "unknown"),
    *("cancelled", "orphans of cancels", "by"),
)


def text(found: Figures) -> str:
    """Return the table: a line for each client and operation."""
    rows: list[list[object]] = []
    for row in found["rows"]:
        if row["storm"] == "faulty":
            rows.append([row[name] for name in ("client", "operation", "asked", *HEAD[3:7])])
        else:
            rows[-1] += [row["asked"], row["orphans"], row["cancel"]]
    lines = [
        "The field: starts with 14 % ambiguous faults, and cancelled ones",
        "",
        table(HEAD, rows),
        f"{found['date']}, with {', '.join(found['versions'])}.",
    ]
    if found["missing"]:
        lines.append(f"Not installed, so left out: {', '.join(found['missing'])}. `--install` installs them.")
    lines += [f"The driver of {client} failed: {why}" for client, why in found["failed"].items()]
    return "\n".join(lines) + "\n"
