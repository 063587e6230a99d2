"""From arguments to an exit status: the commands, their help, and what is wrong with the arguments."""

from __future__ import annotations

import importlib
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import aioecs
import aioecs.cli
from aioecs.cli._access import profiles
from aioecs.cli._app import COMMANDS, load, run

C = "start --cluster c --task-definition td"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a wide terminal, so that help is not broken."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize(
    "args",
    [
        "--help",
        "-h",
        "start --help",
        "stop --help",
        "tasks --help",
        "wait --help",
        "watch --help",
        "instances --help",
        "local --help",
        "run --help",
        "logs --help",
        "local -h",
        "chaos --help",
        "conformance --help",
    ],
)
def test_help(args: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help goes to stdout, and each command's has examples and exit statuses."""
    assert run(args.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Usage: aioecs" in out
    assert "Exit status" in out
    assert args.startswith("-") or ("Examples" in out and f"aioecs {args.split()[0]} " in out)


def test_every_option_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each option is in the command's help."""
    run(["start", "--help"])
    out = capsys.readouterr().out
    options = (
        "cluster task-definition instances all-instances count env container command cpu memory started-by group tag "
        "spread binpack random distinct-instance member-of wait-for-capacity on-cancel concurrency endpoint-url local "
        "region profile no-verify-ssl ca-bundle cli-connect-timeout cli-read-timeout json"
    )
    assert all(f"--{option} " in out for option in options.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is the package's."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"aioecs {aioecs.__version__}\n"


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command there is help, and it is not a success."""
    assert run([]) == 2
    assert "Usage: aioecs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("strat", "No such command 'strat'"),
        ("--nope", "--nope"),
        ("start --nope", "--nope"),
        ("start", "--cluster is missing: where to start; or --local"),
        (f"{C} --all-instances --count 0", "'--count'"),
        (f"{C} --all-instances --count -1", "'--count'"),
        (f"{C} --all-instances --count many", "'--count'"),
        (f"{C} --all-instances --concurrency 0", "'--concurrency'"),
        (f"{C} --all-instances --on-cancel maybe", "'--on-cancel'"),
        (f"{C} --all-instances --cpu 0", "'--cpu'"),
        (f"{C} --instances a --all-instances", "--instances and --all-instances exclude each other"),
        ("start --local --instances a", "--instances and --local exclude each other"),
        ("start --local --profile p", "--profile and --local exclude each other"),
        ("start --local --endpoint-url http://x", "--endpoint-url and --local exclude each other"),
        ("start --all-instances --cluster c", "--task-definition is missing"),
        ("start --local --tag team", "--tags needs NAME=VALUE"),
        ("start --local --env A=1 --env B", "--env needs NAME=VALUE, which number 2 of them is not"),
        ("start --local --command", "--command needs at least one argument"),
        ("start --local --cluster", "'--cluster' requires an argument"),
        ("start --local --ca-bundle /none", "'/none' does not exist"),
        ("start --local --no-verify-ssl", "--no-verify-ssl and --local exclude each other"),
        ("start --local --cli-read-timeout 0", "'--cli-read-timeout'"),
        ("start --local surplus", "an argument too many"),
        ("local --port 70000", "'--port'"),
        ("local surplus", "unexpected extra argument"),
    ],
)
def test_what_is_wrong_with_the_arguments(args: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line of stderr says what is wrong and where to read on; nothing else is said, and the status is 2."""
    assert run(args.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("aioecs: ")
    assert err.count("\n") == 1
    assert message in err
    command = args.split()[0]
    assert err.endswith(
        f"(see aioecs {command} --help)\n" if command in ("start", "local") else "(see aioecs --help)\n"
    )


@pytest.mark.parametrize("instance", ["an instance", "a,b c", "arn:aws:ecs:eu-west-1:1:container-instance/x", "a,,b"])
def test_bad_instances(instance: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An instance that can't be one is refused before anything is looked up."""
    assert run([*C.split(), "--instances", instance]) == 2
    assert capsys.readouterr().err.startswith("aioecs: --instances: ")


@pytest.mark.parametrize(
    "args",
    [
        ["--env", "hunter2"],
        ["--env", "A=1", "B=hunter2"],
        ["--env", "A=hunter2", "--count", "0"],
        ["--env=A=hunter2", "--nope"],
        ["--enw=A=hunter2"],
        ["--env", "A=hunter2" + "x" * 9000],
        ["--env", "A=hunter2", "--started-by", "ü"],
        ["--env", "A=hunter2", "--container", "other"],
        ["--env", "A=hunter2", "--task-definition", "none"],
        ["--env", "A=hunter2"],
        ["--env", "A=hunter2", "--json"],
    ],
)
def test_secrets_are_never_shown(args: Sequence[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever goes wrong, and if nothing does, no value of an environment variable is in any output."""
    run(["start", "--local", *args])
    assert "hunter2" not in "".join(capfd.readouterr())


def test_an_interrupt_before_anything_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C with nothing in flight ends without a message."""

    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("aioecs.cli._app.get_command", interrupted)
    assert run([]) == 130


# ------------------------------------------------------------------------------------------------------ the entry point


def status_of_main() -> object:
    """Call what the script calls, and return the status that it exits with."""
    with pytest.raises(SystemExit) as ended:
        aioecs.cli.main()
    return ended.value.code


def test_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes its arguments from the process."""
    monkeypatch.setattr(sys, "argv", ["aioecs", "--version"])
    assert status_of_main() == 0
    assert "aioecs" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["typer", "rich.console"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without typer or rich it says which extra to install."""
    for name in [name for name in vars(aioecs.cli) if f"aioecs.cli.{name}" in sys.modules]:
        monkeypatch.delattr(aioecs.cli, name)  # put back afterwards
    for name in [name for name in sys.modules if name.startswith("aioecs.cli._")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert status_of_main() == 2
    assert capsys.readouterr().err == "the command line needs its extra: pip install 'aioecs[cli]'\n"


@pytest.mark.parametrize(
    ("raised", "comes"), [(ImportError("other", name="other"), ImportError), (KeyboardInterrupt(), SystemExit)]
)
def test_other_failures_to_begin(
    raised: BaseException, comes: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another module that is missing is a defect, and is shown as one; Ctrl-C is the status 130."""

    class Broken:
        def __getattr__(self, _: str) -> object:
            raise raised

    monkeypatch.setitem(sys.modules, "aioecs.cli._app", Broken())
    with pytest.raises(comes) as ended:
        aioecs.cli.main()
    assert getattr(ended.value, "code", 130) == 130


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m aioecs.cli` is the same, and importing it alone does nothing."""
    importlib.import_module("aioecs.cli.__main__")
    monkeypatch.setattr(sys, "argv", ["aioecs", "--version"])
    monkeypatch.delitem(sys.modules, "aioecs.cli.__main__")
    with pytest.raises(SystemExit):
        runpy.run_module("aioecs.cli", run_name="__main__")
    assert capsys.readouterr().out == f"aioecs {aioecs.__version__}\n"


# ------------------------------------------------------------------------------------------------- help, and the start


def test_examples_stay_whole_on_60_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that is copied out of the help is the command; faults, which are files' lines, are not commands."""
    monkeypatch.setenv("COLUMNS", "60")
    for name in COMMANDS:
        text = importlib.import_module(f"aioecs.cli._commands.{name}").HELP
        examples = [line for line in text.splitlines() if line.startswith("  ") and not line.startswith("  {")]
        assert examples
        run([name, "--help"])
        shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
        assert [line for line in examples if line.strip() not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_list_of_commands_says_what_their_help_says(name: str) -> None:
    """The list has the first sentence or two of each help, without importing it."""
    text = (load(name).help or "").replace("\n", " ").strip()
    assert text.startswith(COMMANDS[name])


FORKS = """
import atexit, os, sys
from aioecs.cli import main
import aioecs.cli._app

for line in sys.argv[1:]:
    if not os.fork():
        sys.argv[1:] = line.split()
        atexit.register(lambda: print(*sys.modules))
        main()
    assert os.wait()[1] == 0
    print("end of", line, flush=True)
"""
"""Runs each of many commands in a new process, after what all of them import."""


def test_help_imports_nothing_slow() -> None:
    """Help and --version import nothing that takes long, and no command but their own."""
    lines = ["--version", "--help", *(f"{name} --help" for name in COMMANDS)]
    done = subprocess.run([sys.executable, "-c", FORKS, *lines], capture_output=True, text=True, check=True)
    slow = {
        "aiobotocore",
        "botocore",
        "aioecs._exports",
        "aioecs._model",
        "aioecs.testing",
        "anyio",
        "asyncio",
        "pydantic",
    }
    remaining = done.stdout
    for args in lines:
        output, _, remaining = remaining.partition(f"end of {args}\n")
        loaded = set(output.splitlines()[-1].split())
        assert (args, loaded & slow) == (args, set())
        commands = {name.rpartition(".")[2] for name in loaded if name.startswith("aioecs.cli._commands.")}
        assert commands == (set() if args.startswith("-") else {args.split()[0]})


@pytest.mark.parametrize("command", ["", "start", "tasks"])
def test_flags_have_no_type(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They take no value."""
    assert run([*command.split(), "--help"]) == 0
    assert "bool" not in capsys.readouterr().out


def test_the_package_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m aioecs` is the command line too."""
    monkeypatch.setattr(sys, "argv", ["aioecs", "--version"])
    with pytest.raises(SystemExit):
        runpy.run_module("aioecs", run_name="__main__")
    assert capsys.readouterr().out == f"aioecs {aioecs.__version__}\n"


@pytest.mark.parametrize("args", ["--help", "start --help", "--version"])
def test_help_that_cannot_be_written(args: str) -> None:
    """It is a message and a status, not a traceback."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "aioecs", *args.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "aioecs: the results could not be written: No space left on device\n")


@pytest.mark.parametrize("args", ["--help", "start --help", "--version"])
def test_help_that_nobody_reads_to_its_end(args: str) -> None:
    """A reader that has gone, as `head` does, has had enough: that is no failure."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "aioecs", *args.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.parametrize(("args", "status"), [("--version", 0), ("start --nonsense", 2)])
def test_a_closed_stream(closed: str, args: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `>&-` leaves is written to nowhere."""
    monkeypatch.setattr(sys, closed, None)
    assert run(args.split()) == status
    getattr(sys, closed).close()


def test_profiles_are_completed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the AWS configuration."""
    (tmp_path / "config").write_text("[profile build]\n[profile batch]\n[default]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert sorted(profiles("b")) == ["batch", "build"]
