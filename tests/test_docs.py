"""The documentation is true: its Python runs as pasted against a local ECS, and its reference is complete."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import os
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from aiobotocore.session import get_session
from moto_queue import moto_server, until

import aioecs
from aioecs.testing import LocalECS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = ROOT / "README.md"
MODULES = ("aioecs", "aioecs.types", "aioecs.sync", "aioecs.worker", "aioecs.testing", "aioecs.otel")
PYTEST = ["-m", "pytest", "-q", "-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"]
"""Runs tests with the only plugin that the pages name, and aioecs's own."""
FENCE = re.compile(r"^```python(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


@attrs.frozen
class Block:
    """A piece of Python on a page."""

    title: str | None
    """The file that it is to be saved as; None for one that is pasted into `python -m asyncio`."""
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the Python of a page, in order."""
    text = page.read_text()
    return [Block(m["title"], m["code"], text[: m.start()].count("\n") + 2) for m in FENCE.finditer(text)]


def running_seconds(request: pytest.FixtureRequest) -> float | None:
    """Return how long the page's tasks run, where it asks for `aioecs local --running`."""
    page = getattr(request.node, "callspec", None)
    return 0.3 if page is not None and "aioecs local --running" in page.params["page"].read_text() else None


def named(page: Path) -> Any:
    """Return a page as a test's parameter, with its name as the test's."""
    return pytest.param(page, id=str(page.relative_to(ROOT)))


def with_python(*, titled: bool) -> list[Any]:
    """Return the pages that have blocks of this kind."""
    return [
        named(page) for page in [README, *PAGES] if any((block.title is not None) is titled for block in blocks(page))
    ]


@pytest.fixture
async def exported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalECS]:
    """Serve what `aioecs local` serves, and export what it prints."""
    async with LocalECS(running_seconds=running_seconds(request)) as local:
        for name, value in {
            "AWS_ENDPOINT_URL_ECS": local.endpoint_url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }.items():
            monkeypatch.setenv(name, value)
        yield local


async def paste(page: Path, block: Block, namespace: dict[str, Any]) -> None:
    """Run a block as `python -m asyncio` does, which knows `await` outside of functions."""
    source = "\n" * (block.line - 1) + block.code
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)  # noqa: S307 it is our own documentation
    if inspect.iscoroutine(result):
        await result


@pytest.mark.parametrize("page", with_python(titled=False))
async def test_pasted_examples_run(page: Path, exported: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks of a page without a title run one after the other, in one session, and start nothing twice."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title is None:
            await paste(page, block, namespace)
    assert exported.truth.duplicates(live_only=True) == []
    capsys.readouterr()


@pytest.mark.parametrize("page", with_python(titled=True))
async def test_titled_examples_run_as_files(page: Path, exported: LocalECS, tmp_path: Path) -> None:
    """Blocks with a title are files: programs end with status 0, and tests pass."""
    files = [block for block in blocks(page) if block.title is not None]
    for block in files:
        (tmp_path / str(block.title)).write_text(block.code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with contextlib.ExitStack() as stack:
        if any("QUEUE_URL" in block.code for block in files):
            environment["AWS_ENDPOINT_URL_SQS"] = stack.enter_context(moto_server())
            environment["QUEUE_URL"] = await made_queue(environment["AWS_ENDPOINT_URL_SQS"], exported)
        programs = [str(block.title) for block in files if "__main__" in block.code]
        tests = [str(block.title) for block in files if str(block.title).startswith("test_")]
        for arguments in [[program] for program in programs] + ([[*PYTEST, *tests]] if tests else []):
            status, output = await ran(arguments, tmp_path, environment, exported)
            assert status == 0, f"{page.name}: {arguments[-1]}\n{output}"


async def ran(
    arguments: list[str], folder: Path, environment: dict[str, str], local: LocalECS
) -> tuple[int | None, str]:
    """Run a program to its end, which is SIGTERM for one that works until then: sent once two tasks run."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output: list[str] = []
    reading = asyncio.create_task(read(process, output))
    try:
        if "until SIGTERM" in (folder / arguments[-1]).read_text():
            await until(
                lambda: len(local.truth.running()) == 2 or "task ended" in "".join(output) or reading.done(), 60
            )
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await asyncio.shield(reading)
    except TimeoutError as late:
        raise AssertionError(f"{arguments[-1]} did not end: {''.join(output)}") from late
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait([reading])
    return process.returncode, "".join(output)


async def read(process: asyncio.subprocess.Process, output: list[str]) -> None:
    """Collect what a program writes, until it has ended."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        output.append(line.decode())
    await process.wait()


def is_done(local: LocalECS, output: list[str]) -> bool:
    """Return whether a program has done what the messages in the queue ask for."""
    return len(local.truth.running()) == 2 or any("task ended" in line for line in output)


async def made_queue(url: str, local: LocalECS) -> str:
    """Make a queue with a few messages: two that name a job, and the events of a task that ended."""
    async with get_session().create_client("sqs", endpoint_url=url, region_name="us-east-1") as sqs:
        queue: str = (await sqs.create_queue(QueueName=f"jobs-{uuid.uuid4()}"))["QueueUrl"]  # moto keeps queues
        for job in ("a", "b"):
            await sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"job": job}))
        for event in events_of_a_task(local):
            await sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event))
    return queue


def events_of_a_task(local: LocalECS) -> list[Any]:
    """Return the events that EventBridge sends of a task that is started and ends."""
    events: list[Any] = []
    stop = local.engine.listen(events.append)
    instance = local.instance_arns[0]
    started = local.engine.call("StartTask", {"taskDefinition": "demo", "containerInstances": [instance]})
    local.engine.end_task(started["tasks"][0]["taskArn"])
    stop()
    return events


@pytest.mark.parametrize("page", [named(page) for page in PAGES])
def test_policies_and_templates_are_well_formed(page: Path) -> None:
    """JSON and YAML on a page can be read, CloudFormation's own tags among it; each policy allows something."""
    for language, code in re.findall(r"^ *```(json|yaml)\n(.*?)^ *```$", page.read_text(), re.DOTALL | re.MULTILINE):
        held = json.loads(code) if language == "json" else yaml.load(code, CloudFormation)  # noqa: S506 a SafeLoader
        assert held
        assert language == "yaml" or all(each["Effect"] == "Allow" for each in held["Statement"])


class CloudFormation(yaml.SafeLoader):
    """Reads `!Ref` and `!GetAtt` as the names that they hold."""


CloudFormation.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_has_every_public_name(module: str) -> None:
    """Each name of `__all__` has an entry of its own, under this module or another that has the same object."""
    entries = re.findall(r"^::: ([\w.]+)$", "\n".join(page.read_text() for page in PAGES), re.MULTILINE)
    documented = {id(found) for entry in entries if (found := _found(entry)) is not None}
    public = import_module(module)
    missing = [name for name in public.__all__ if name != "types" and id(getattr(public, name)) not in documented]
    assert missing == []


def _found(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(module), name, None)


def test_the_reference_has_no_name_that_is_gone() -> None:
    """Each entry of the reference is a public name."""
    for page in (DOCS / "reference").glob("*.md"):
        for entry in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE):
            assert _found(entry) is not None or import_module(entry).__doc__, entry


@pytest.mark.parametrize("page", [named(page) for page in PAGES])
def test_a_page_begins_with_what_the_reader_can_do_after_it(page: Path) -> None:
    """The first sentence under the title says it."""
    lines = [line for line in page.read_text().splitlines() if line.strip()]
    assert lines[0].startswith("# ")
    assert lines[1].startswith("After this page you can "), page


def test_troubleshooting_has_every_error() -> None:
    """Each exception of the top level is in its table, but for the roots that nothing raises."""
    text = (DOCS / "troubleshooting.md").read_text()
    public = [getattr(aioecs, name) for name in aioecs.__all__]
    errors = {each.__name__ for each in public if isinstance(each, type) and issubclass(each, BaseException)}
    missing = [name for name in sorted(errors - {"ECSError", "StartError", "WaitError"}) if f"`{name}`" not in text]
    assert missing == []


def test_links_lead_somewhere() -> None:
    """Each relative link of README and of the pages is a file of the project; MkDocs checks anchors."""
    generated = {
        DOCS / "changelog.md",
        *(DOCS / "charts" / each.name for each in (ROOT / "benchmarks/charts").iterdir()),
    }
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PAGES]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not target.startswith("mailto:"):
                path = (page.parent / target).resolve()
                assert path.exists() or path in generated, f"{page.name}: {target}"
