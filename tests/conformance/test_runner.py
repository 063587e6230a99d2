"""_runner: checks are run one by one, and whatever ends a run, nothing is left running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import pytest
from virtual_time import until

from aioecs.conformance._calls import Blocked, NoAnswer
from aioecs.conformance._checks import draining, rates, visibility
from aioecs.conformance._checks.table import Check
from aioecs.conformance._context import Context
from aioecs.conformance._facts import FACTS
from aioecs.conformance._runner import clean_up, run_checks
from aioecs.conformance._setup import Options
from aioecs.testing import Fault
from tests.conformance.runs import Run, local_run, results

NEVER: Callable[[], Awaitable[object]] = anyio.sleep_forever


async def starts(context: Context) -> None:
    """Start a task on each instance, and see one fact."""
    await context.started(list(context.setup.instances))
    context.add_finding("start.order", True, "fine")


def failing(error: Exception) -> Callable[[Context], Awaitable[None]]:
    """Return a check that raises."""

    async def check(context: Context) -> None:
        await starts(context)
        raise error

    return check


async def test_a_run() -> None:
    """Each check's tasks are stopped before the next begins; facts without a check are not run."""
    async with local_run() as run:
        running: list[int] = []
        checks = [Check(starts, ("start.order",), 2)] * 2
        report = await run_checks(run.context, NEVER, lambda _: running.append(len(run.local.truth.running())), checks)
        assert running == [0, 0]
        assert run.local.truth.running() == []
        assert (report.tasks, report.left, report.interrupted, report.conforms) == (4, (), False, True)
        assert [name for name, result in results(report.findings).items() if result != "not run"] == ["start.order"]
        assert report.about["task definition"] == "demo:1"


@pytest.mark.parametrize(
    ("error", "result", "seen"),
    [
        (Blocked("no way"), "not run", "no way"),
        (NoAnswer("ReadTimeoutError"), "failed", "no answer: ReadTimeoutError"),
        (KeyError("tasks"), "failed", "an answer of another form: KeyError: 'tasks'"),
    ],
)
async def test_a_check_that_ends_early(error: Exception, result: str, seen: str) -> None:
    """What it had seen stays; the rest has the reason. The next check runs."""
    async with local_run() as run:
        checks = [Check(failing(error), ("start.order", "start.mixed"), 2), Check(starts, ("start.order",), 2)]
        report = await run_checks(run.context, NEVER, checks=checks)
        found = {finding.fact.name: finding for finding in report.findings}
        assert found["start.order"].seen == "fine"
        assert (str(found["start.mixed"].result), found["start.mixed"].seen) == (result, seen)
        assert run.local.truth.running() == []


@pytest.mark.parametrize(
    ("check", "fact", "operation"),
    [(visibility.lags, "list.lag", "ListTasks"), (rates.rates, "rate.start_burst", "StopTask")],
)
async def test_a_broken_connection_in_a_check_that_sends_several_at_once(
    check: Callable[[Context], Awaitable[None]], fact: str, operation: str
) -> None:
    """It ends that check only: the report has what is known of the others."""
    async with local_run(faults=[Fault("reset", operation=operation)]) as run:
        checks = [Check(check, (fact,), 10), Check(starts, ("start.order",), 2)]
        report = await run_checks(run.context, NEVER, checks=checks)
        found = {finding.fact.name: finding for finding in report.findings}
        assert str(found[fact].result) == "failed"
        assert found[fact].seen.startswith("no answer: ")
        assert found["start.order"].seen == "fine"
        assert run.local.truth.running() == []


async def test_lists_that_are_not_permitted() -> None:
    """The checks that need them are not run, and say so."""
    async with local_run(denied=["ListTasks"]) as run:
        report = await run_checks(run.context, NEVER, checks=[Check(visibility.lags, ("list.lag",), 10)])
        seen = {finding.fact.name: finding.seen for finding in report.findings}["list.lag"]
        assert "AccessDeniedException" in seen
        assert run.local.truth.running() == []


async def test_a_check_that_can_not_run_here() -> None:
    """It is not begun."""
    async with local_run() as run:
        check = Check(starts, ("start.order",), 2, lambda _: "not here")
        report = await run_checks(run.context, NEVER, checks=[check])
        assert report.findings[list(FACTS).index("start.order")].seen == "not here"
        assert report.tasks == 0


async def waits(context: Context) -> None:
    """Start tasks, and wait for ever."""
    await starts(context)
    await anyio.sleep_forever()


async def test_an_interrupt() -> None:
    """What it started is stopped, and the report says what was left out."""
    async with local_run() as run:
        interrupt = asyncio.Event()
        checks = [
            Check(starts, ("start.order",), 2),
            Check(waits, ("start.mixed",), 2),
            Check(starts, ("run.replay",), 2),
        ]
        running = asyncio.create_task(run_checks(run.context, interrupt.wait, checks=checks))
        await until(lambda: len(run.local.truth.tasks()) == 4)
        interrupt.set()
        report = await running
        assert (run.local.truth.running(), report.interrupted, report.left) == ([], True, ())
        found = {finding.fact.name: finding.seen for finding in report.findings}
        assert (found["start.order"], found["start.mixed"], found["clock.skew"]) == (
            "fine",
            "interrupted",
            "interrupted",
        )


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_interrupt_while_a_start_is_in_flight(when: str) -> None:
    """Its answer is awaited, and its task stopped."""
    fault = Fault("delay", when=when, seconds=0.05)  # type: ignore[arg-type]
    async with local_run(faults=[fault]) as run:
        interrupt = asyncio.Event()
        running = asyncio.create_task(
            run_checks(run.context, interrupt.wait, checks=[Check(waits, ("start.mixed",), 2)])
        )
        await until(lambda: not len(run.local.faults))
        interrupt.set()
        report = await running
        assert (len(run.local.truth.tasks()), run.local.truth.running(), report.left) == (2, [], ())


async def test_a_cancel_from_outside() -> None:
    """Likewise, and it goes on as itself."""
    async with local_run() as run:
        running = asyncio.create_task(run_checks(run.context, NEVER, checks=[Check(waits, ("start.mixed",), 2)]))
        await until(lambda: len(run.local.truth.tasks()) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert run.local.truth.running() == []


async def test_an_unexpected_error() -> None:
    """A defect of a check ends the run, but not before its tasks are stopped."""
    async with local_run() as run:
        with pytest.raises(ExceptionGroup):
            await run_checks(run.context, NEVER, checks=[Check(failing(ZeroDivisionError()), ("start.mixed",), 2)])
        assert (len(run.local.truth.tasks()), run.local.truth.running()) == (2, [])


async def lost_start(run: Run, fault: Fault, *, instances: int = 1) -> None:
    """Start tasks, one on each of so many instances, whose answer is lost."""
    run.local.faults.add(fault)
    with pytest.raises(NoAnswer):
        await run.context.start(list(run.context.setup.instances[:instances]))


async def test_the_task_of_a_lost_answer_is_found_and_stopped() -> None:
    """Also if ECS shows it late; a start that left nothing is given up after the time for consistency."""
    async with local_run(visibility_lag=0.1, describe_lag=0, consistency=0.5) as run:
        await lost_start(run, Fault("reset", when="after"))
        await lost_start(run, Fault("reset"))
        assert await clean_up(run.context) == ()
        assert (len(run.local.truth.tasks()), run.local.truth.running()) == (1, [])


async def test_tasks_of_a_lost_answer_that_show_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are stopped."""
    right, reads = Context.list_tasks, 0

    async def shows_one_at_first(context: Context, **members: Any) -> list[str]:
        nonlocal reads
        reads += 1
        return (await right(context, **members))[: 1 if reads == 1 else None]

    monkeypatch.setattr(Context, "list_tasks", shows_one_at_first)
    async with local_run(consistency=0.5) as run:
        await lost_start(run, Fault("reset", when="after"), instances=2)
        assert await clean_up(run.context) == ()
        assert (len(run.local.truth.tasks()), run.local.truth.running()) == (2, [])


async def test_what_is_left_is_said() -> None:
    """Tasks that may not be stopped, and starts that can't be looked up."""
    async with local_run(denied=["StopTask", "ListTasks"]) as run:
        (arn,) = await run.context.started([run.context.setup.instances[0]])
        await lost_start(run, Fault("reset", when="after"))
        token = next(iter(run.context.open_tokens))
        assert await clean_up(run.context) == (
            f"the task {arn.rpartition('/')[2]} could not be stopped",
            f"tasks with startedBy {token} may be there: their start had no answer",
        )


async def test_an_instance_that_is_still_draining_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting it back has no answer, however often it is tried."""
    monkeypatch.setattr(draining, "_UNDONE_WITHIN", 0.1)
    async with local_run(instances=3) as run:
        name = run.local.instance_arns[-1].rpartition("/")[2]
        run.context.setup = attrs.evolve(run.context.setup, options=Options(drain=name))
        update = "UpdateContainerInstancesState"
        run.local.faults.add(Fault("delay", operation=update, seconds=0.0))
        run.local.faults.add(Fault("error", operation=update, times=None))
        report = await run_checks(run.context, NEVER, checks=[Check(draining.draining, ("drain.refused",), 1)])
        assert report.left == (f"the container instance {name} is DRAINING: it could not be set back to ACTIVE",)
        assert not report.conforms


async def test_a_start_that_is_not_permitted_leaves_no_task() -> None:
    """It has an answer: no task can be there, also where lists are not permitted either."""
    async with local_run(denied=["StartTask", "ListTasks"]) as run:
        report = await run_checks(run.context, NEVER, checks=[Check(starts, ("start.order",), 2)])
        assert (report.left, run.local.truth.requests["ListTasks"]) == ((), 0)


async def test_options_of_the_whole_table() -> None:
    """What needs an option is not run without it, and says which."""
    async with local_run(options=Options(), consistency=0.1) as run:
        run.local.engine.denied.update(["StartTask", "RunTask"])
        report = await run_checks(run.context, NEVER)
        seen = {finding.fact.name: finding.seen for finding in report.findings}
        assert "--long" in seen["run.token_end"]
        assert "--drain" in seen["drain.refused"]
        assert "--throttle" in seen["rate.error"]
        assert "AccessDeniedException" in seen["start.order"]
        assert (report.tasks, results(report.findings)["start.mixed"]) == (0, "not run")
