"""`aioecs start` as its users meet it: in a terminal, in a pipe, with Ctrl-C; compared with the local ECS's truth."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from terminal import COMMAND, CONTROL, CTRL_C, Terminal, terminal

from aioecs.cli._access import Access
from aioecs.cli._app import run
from aioecs.cli._options import Packed, Policy
from aioecs.cli._start.options import StartOptions
from aioecs.cli._start.run import Run
from aioecs.testing import Fault, LocalECS

WHERE = ("--cluster", "default", "--task-definition", "demo")


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option has its member."""
    seen: list[StartOptions] = []

    class Kept(Run):
        async def go(self) -> int:
            seen.append(self._options)
            return 7

    monkeypatch.setattr("aioecs.cli._start.run.Run", Kept)
    args = (
        "start --cluster c --task-definition td:1 --instances a,b --instances c --count 4 --env A=1 --env B=x=y "
        "--container main --command python main.py --cpu 256 --memory 512 --started-by me --group g --tag k=v "
        "--on-cancel keep --concurrency 9 --endpoint-url http://x --region r --profile p -- --frame 17"
    )
    assert run(args.split()) == 7
    assert seen == [
        StartOptions(
            cluster="c",
            task_definition="td:1",
            instances=("a", "b", "c"),
            count=4,
            environment=(("A", "1"), ("B", "x=y")),
            container="main",
            command=("python", "main.py", "--frame", "17"),
            cpu=256,
            memory=512,
            started_by="me",
            group="g",
            tags=(("k", "v"),),
            on_cancel=Policy.KEEP,
            concurrency=9,
            access=Access(endpoint_url="http://x", region="r", profile="p"),
        )
    ]


def test_the_options_of_a_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option has its member."""
    seen: list[StartOptions] = []

    class Kept(Run):
        async def go(self) -> int:
            seen.append(self._options)
            return 0

    monkeypatch.setattr("aioecs.cli._start.run.Run", Kept)
    where = "start --cluster c --task-definition td"
    assert run([*where.split(), "--spread", "ecs.availability-zone", "--wait-for-capacity", "2.5"]) == 0
    assert run([*where.split(), "--binpack", "memory", "--distinct-instance"]) == 0
    assert run([*where.split(), "--random", "--member-of", "a == 1", "--member-of", "b == 2"]) == 0
    made: dict[str, Any] = {"cluster": "c", "task_definition": "td"}
    assert seen == [
        StartOptions(**made, spread="ecs.availability-zone", wait_for_capacity=2.5),
        StartOptions(**made, binpack=Packed.MEMORY, distinct_instance=True),
        StartOptions(**made, random=True, member_of=("a == 1", "b == 2")),
    ]


@pytest.mark.parametrize("args", ["--binpack gpu", "--wait-for-capacity -1", "--wait-for-capacity soon"])
def test_bad_options_of_a_placement(args: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be is refused before anything is looked up."""
    assert run(["start", "--local", *args.split()]) == 2
    assert args.split()[0] in capsys.readouterr().err


def test_an_argument_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    """An argument of no option is refused, and not repeated: it may be a secret."""
    assert run(["start", "--local", "--env", "A=1", "B=hunter2"]) == 2
    message = capsys.readouterr().err
    assert "--env and --tags take one NAME=VALUE each" in message
    assert "hunter2" not in message


def test_in_a_pipe() -> None:
    """On a machine without AWS, a pipe gets the summary and nothing else, in plain ASCII and unbroken."""
    kept = {"PATH", "PYTHONPYCACHEPREFIX", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    environment |= {
        "HOME": "/nonexistent",
        "COLUMNS": "40",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    done = subprocess.run(
        [*COMMAND, "start", "--local", "--count", "1000"], capture_output=True, env=environment, check=True
    )
    first, second, *tasks = done.stdout.decode("ascii").splitlines()
    assert len(tasks) == 12
    assert first.startswith("1,000 started of 1,000 tasks in ")
    assert second.endswith("; ran on the embedded local ECS, which is gone now")
    assert done.stderr == b""


def test_when_the_reader_goes_away() -> None:
    """`| head -1`: no more is started, and the remaining results go to stderr, without a traceback."""
    with subprocess.Popen(
        [*COMMAND, "start", "--local", "--count", "6000", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["outcome"] == "started"
        process.stdout.close()
        _, err = process.communicate(timeout=30)
    lines = err.decode().splitlines()
    *starts, last = [json.loads(line) for line in lines if line.startswith("{")]
    # A client that settles for longer than half a second says what it waits for.
    assert all(line.startswith("aioecs: waiting for up to ") for line in lines if not line.startswith("{"))
    assert last["summary"]["interrupted"] == "nobody reads the output any more"
    assert {start["outcome"] for start in starts} <= {"started", "stopped", "not_sent"}
    assert process.returncode == 130


# ------------------------------------------------------------------------------------------------------- in a terminal


def starting(local: LocalECS, columns: int, *args: str) -> AbstractAsyncContextManager[Terminal]:
    """Run `aioecs start` on a local ECS, in a terminal of so many columns."""
    return terminal(local, columns, "start", *WHERE, "--all-instances", *args)


def slow(seconds: float) -> LocalECS:
    """Make a local ECS whose every StartTask answers so much later."""
    return LocalECS(faults=[Fault("delay", when="after", seconds=seconds, times=None)])


async def test_ctrl_c_in_a_terminal() -> None:
    """The line moves; Ctrl-C cancels, says so, and the summary is what is true."""
    async with slow(0.2) as local, starting(local, 100, "--count", "5000", "--concurrency", "4") as shown:
        await shown.shows(r"\d+/5,000 \d+% ━+\S* +\d+ tasks/s, \d+s.*, at most \d+ calls/s")
        await shown.shows(r"[1-9]\d*/5,000")
        shown.press(CTRL_C)
        await shown.shows("interrupted: waiting for what is in flight; Ctrl-C again ends at once")
        summary = await shown.shows(
            r"([\d,]+) started, ([\d,]+) stopped after starting, ([\d,]+) not sent of 5,000 tasks in "
        )
        assert await shown.status() == 130
        started, stopped, unsent = (int(number.replace(",", "")) for number in summary.groups())
        assert started == len(local.truth.running()) > 0
        assert stopped == len(local.truth.tasks()) - started
        assert started + stopped + unsent == 5000
        assert local.truth.duplicates() == []
        await shown.shows("Interrupted: SIGINT")
        assert shown.text.rindex("\x1b[?25h") < shown.text.rindex("Interrupted")  # the cursor is back


async def test_a_second_ctrl_c_in_a_narrow_terminal() -> None:
    """In 40 columns lines are broken only at spaces; a second Ctrl-C ends at once and shows the tokens."""
    async with slow(30) as local, starting(local, 40, "--count", "500", "--concurrency", "3") as shown:
        await shown.shows("0/500 0%")
        async with asyncio.timeout(20):
            while local.truth.requests["StartTask"] < 3:
                await asyncio.sleep(0.01)
        shown.press(CTRL_C)
        await shown.shows("Ctrl-C again ends at once")
        shown.press(CTRL_C)
        assert await shown.status() == 130
        await shown.shows(r"0 started, 470 not sent, 30 UNKNOWN of")
        assert len(local.truth.tasks()) == 30
        lines = CONTROL.sub("", shown.text).replace("\r", "\n").split("\n")
        assert max(len(line) for line in lines if not line.startswith("  aioecs tasks ")) <= 40
        assert "\x1b[?25h" in shown.text


async def test_sigterm_in_a_terminal() -> None:
    """SIGTERM is a Ctrl-C."""
    async with slow(0.05) as local, starting(local, 100, "--count", "5000", "--concurrency", "2", "--json") as shown:
        await shown.shows('"outcome": "started"')
        shown.send_signal(signal.SIGTERM)
        assert await shown.status() == 130
        last = await shown.shows(r'\{"summary": .*\}')
        summary = json.loads(last[0].replace("\r\n", ""))["summary"]
        assert summary["interrupted"] == "SIGTERM"
        assert summary["started"] == len(local.truth.running())
        assert "━" not in shown.text  # no live display beside JSON
