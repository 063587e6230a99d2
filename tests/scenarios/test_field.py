"""The benchmark of the field: what a client reported is compared with what ECS did, and what is missing is named."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from benchmarks.field import clients, measure
from benchmarks.field.clients import CLIENTS, FieldClient
from benchmarks.field.measure import FieldRow, judge, read_lines
from benchmarks.field.service import faults

CLIENT = CLIENTS[0]


def task(number: int, arn: str, status: str = "RUNNING") -> dict[str, Any]:
    """Return a task as the truth has it."""
    return {"group": str(number), "arn": arn, "desired_status": status}


def judged(outcome: str, arns: list[str], *tasks: dict[str, Any]) -> FieldRow:
    """Judge one start."""
    lines = [json.dumps({"number": 0, "outcome": outcome, "arns": arns})]
    return judge(CLIENT, "StartTask", "faulty", 1, read_lines(lines), list(tasks), 1.0)


@pytest.mark.parametrize(
    ("row", "duplicates", "lies", "orphans", "unknown"),
    [
        (judged("started", ["a"], task(0, "a")), 0, 0, 0, 0),
        (judged("started", ["a"], task(0, "a"), task(0, "b")), 1, 0, 1, 0),
        (judged("started", ["a"], task(0, "a", "STOPPED")), 0, 1, 0, 0),
        (judged("failed", [], task(0, "a")), 0, 1, 1, 0),
        (judged("failed", []), 0, 0, 0, 0),
        (judged("unknown", [], task(0, "a")), 0, 0, 0, 1),
        (judged("cancelled", [], task(0, "a")), 0, 0, 1, 0),
        (judged("stopped", ["a"], task(0, "a", "STOPPED")), 0, 0, 0, 0),
        (judged("started", ["a"], task(0, "a"), task(7, "of a first call")), 0, 0, 0, 0),
    ],
)
def test_a_report_is_compared_with_the_truth(
    row: FieldRow, duplicates: int, lies: int, orphans: int, unknown: int
) -> None:
    """A duplicate, a lie and an orphan are what they are called."""
    assert (row.duplicates, row.lies, row.orphans, row.unknown) == (duplicates, lies, orphans, unknown)


def test_a_start_without_a_report_counts_as_cancelled() -> None:
    """A driver that was ended has named nothing."""
    row = judge(CLIENT, "StartTask", "cancelled", 1, {}, [task(0, "a")], 1.0)
    assert (row.orphans, row.lies) == (1, 0)


def test_fourteen_percent_of_the_starts_fail_ambiguously() -> None:
    """The same for StartTask and RunTask; the cancelled storm has latency only."""
    for operation in ("StartTask", "RunTask"):
        script = [fault for fault in faults("faulty") if fault.operation == operation]
        assert sum(fault.chance for fault in script) == pytest.approx(0.14)
    assert {fault.kind for fault in faults("cancelled")} == {"delay"}


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is neither run nor downloaded."""
    monkeypatch.setattr(clients, "INSTALLED", tmp_path)
    monkeypatch.setattr(measure, "measure", lambda client, *_: pytest.fail(f"{client} was run"))
    found = measure.figures(True, only=("capo", "javascript", "airflow"))
    assert {"capo-ecs", "AWS SDK for JavaScript", "Airflow's EcsRunTaskOperator"} <= set(found["missing"])


def test_at_least_six_clients_have_a_driver() -> None:
    """Each driver is a file; each client says how its users cancel."""
    drivers = Path(clients.HERE / "drivers")
    for client in CLIENTS:
        assert list(drivers.glob(f"drive_{client.driver}.*")), client.name
        assert client.cancel
    assert len({client.driver for client in CLIENTS}) >= 6


def test_an_installation_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last line of what went wrong; nothing of it is left."""
    monkeypatch.setattr(clients, "INSTALLED", tmp_path)
    command = [sys.executable, "-c", "import sys; sys.exit('no such package')"]
    monkeypatch.setattr(FieldClient, "_installs", lambda _: [command])
    client = FieldClient(name="none", driver="none", packages=("none",), cancel="none")
    assert client.install() == "no such package"
    assert not client.folder.exists()


def test_the_table_has_a_line_for_each_client_and_operation() -> None:
    """Both storms are in one line."""
    rows = [judge(CLIENT, operation, storm, 1, {}, [], 1.0) for operation in clients.BOTH for storm in measure.STORMS]
    found = {
        "rows": [{**vars_of(row)} for row in rows],
        "versions": ["aioecs 1.2.3"],
        "date": "2026-11-27",
        "missing": ["capo-ecs"],
        "failed": {"boto3": "exit code 1"},
    }
    text = measure.text(found)
    assert len(re.findall(r"^\| aioecs .* \| 1 \| .* \| task.cancel\(\) \|$", text, re.MULTILINE)) == 2
    assert "capo-ecs" in text
    assert "2026-11-27, with aioecs 1.2.3." in text
    assert "The driver of boto3 failed: exit code 1" in text


def test_a_driver_that_fails_leaves_the_others_their_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on, names it, and misses its bound at the end."""
    monkeypatch.setattr(FieldClient, "command", lambda client: None if client.packages else ["python"])

    def fail_for_boto3(client: FieldClient, operation: str, storm: str, starts: int) -> FieldRow:
        if client.driver == "boto3":
            raise RuntimeError("no such module")
        return judge(client, operation, storm, starts, {}, [], 1.0)

    monkeypatch.setattr(measure, "measure", fail_for_boto3)
    found = measure.figures(True, only=("boto3", "aioecs"))
    assert {row["client"] for row in found["rows"]} == {"aioecs"}
    assert found["failed"] == dict.fromkeys(("boto3, legacy (its default)", "boto3, standard"), "no such module")
    assert [each["kept"] for each in found["bounds"]] == [True, True, True, False]


def test_a_slow_client_makes_fewer_starts_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a number is given, which holds for all."""
    monkeypatch.setattr(FieldClient, "command", lambda _: ["python"])
    monkeypatch.setattr(FieldClient, "version", lambda client: f"{client.driver} 1")
    monkeypatch.setattr(
        measure,
        "measure",
        lambda client, operation, storm, starts: judge(client, operation, storm, starts, {}, [], 1.0),
    )
    asked = {row["client"]: row["asked"] for row in measure.figures(False)["rows"]}
    assert (asked["aioecs"], asked["AWS CLI"], asked["Airflow's EcsRunTaskOperator"]) == (100, 60, 50)
    assert {row["asked"] for row in measure.figures(False, 7)["rows"]} == {7}


def vars_of(row: FieldRow) -> dict[str, Any]:
    """Return a row as plain data."""
    return {name: getattr(row, name) for name in FieldRow.__annotations__}


def test_a_driver_reports_what_its_client_did() -> None:
    """The whole way: a local ECS behind the proxy, and a client in a process of its own."""
    row = measure.measure(CLIENT, "RunTask", "faulty", 4)
    assert (row.client, row.asked) == ("aioecs", 4)
    assert (row.duplicates, row.lies, row.orphans) == (0, 0, 0)


def test_the_aws_cli_is_interrupted_in_the_background_too(tmp_path: Path) -> None:
    """A shell starts what runs in its background with SIGINT ignored, which processes inherit."""
    program = """
        import socket, sys, time
        host, port = sys.argv[-1].removeprefix("http://").split(":")
        socket.create_connection((host, int(port))).sendall(b"a request")
        time.sleep(20)
    """
    stand_in = tmp_path / "aws"
    stand_in.write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}", encoding="utf-8")
    stand_in.chmod(0o755)
    settings = {"operation": "RunTask", "storm": "cancelled", "starts": 1, "seed": 1, "latency": 0.02}
    driver = [sys.executable, str(clients.HERE / "drivers" / "drive_awscli.py"), json.dumps(settings), str(stand_in)]
    with socket.create_server(("127.0.0.1", 0)) as endpoint:
        url = f"http://127.0.0.1:{endpoint.getsockname()[1]}"
        done = subprocess.run(
            ["/bin/sh", "-c", """trap "" INT; exec "$@" """, "sh", *driver],
            env={**os.environ, "AWS_ENDPOINT_URL_ECS": url, "AWS_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert json.loads(done.stdout) == {"number": 0, "outcome": "cancelled", "arns": []}
