"""Runs the checks one after the other, stops what they started, and reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import anyio

import aioecs
from aioecs.conformance._calls import Blocked, NoAnswer
from aioecs.conformance._checks.table import CHECKS, Check
from aioecs.conformance._context import Context
from aioecs.conformance._facts import FACTS
from aioecs.conformance._report import Finding, Report, Result, whole
from aioecs.conformance._setup import CannotRun, Setup

_CLEANING = 90.0  # seconds that stopping what was started may take
INTERRUPTED = "interrupted"


async def run_checks(
    context: Context,
    interrupted: Callable[[], Awaitable[object]],
    progress: Callable[[str], object] = lambda _: None,
    checks: Iterable[Check] = CHECKS,
) -> Report:
    """Run the checks, and return what they found; once `interrupted` returns, the rest is left out.

    Whatever ends it, also a cancel, what it started is asked to stop.
    """
    why: dict[str, str] = {}
    finished = False
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_after, interrupted, group.cancel_scope)
            for check in checks:
                await _run_check(context, check, why, progress)
            finished = True
            group.cancel_scope.cancel()
    finally:
        left = await clean_up(context)
    return _report(context, why, left, interrupted=not finished)


async def _cancel_after(interrupted: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> None:
    await interrupted()
    scope.cancel()


async def _run_check(context: Context, check: Check, why: dict[str, str], progress: Callable[[str], object]) -> None:
    """Run one check, and stop its tasks; note why facts of it have no finding."""
    reason = check.not_here(context.setup)
    if reason is None:
        why.update(dict.fromkeys(check.facts, INTERRUPTED))
        progress(check.name)
        reason = await _outcome(context, check)
        await context.stop_all()
    why.update(dict.fromkeys(check.facts, reason))


async def _outcome(context: Context, check: Check) -> str:
    """Carry a check through; return why there are facts of it without a finding."""
    try:
        await check.run(context)
    except Blocked as error:
        return str(error)
    except (NoAnswer, CannotRun) as error:
        _failed(context, check, f"no answer: {error}")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        _failed(context, check, f"an answer of another form: {type(error).__name__}: {error}")
    return "the check ended before"


def _failed(context: Context, check: Check, seen: str) -> None:
    found = {finding.fact.name for finding in context.findings}
    context.findings += [Finding(FACTS[name], Result.FAILED, seen) for name in check.facts if name not in found]


async def clean_up(context: Context) -> tuple[str, ...]:
    """Ask all tasks of the run to stop, those of lost answers too; return what is left. A cancel doesn't end it."""
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(_CLEANING):
            await context.settled()
            with suppress(Blocked, NoAnswer):
                await _find_late(context)
            await context.stop_all()
    return tuple(_left(context))


async def _find_late(context: Context) -> None:
    """Look for the tasks of starts without an answer, until ECS must have shown all of them."""
    end = anyio.current_time() + context.setup.consistency
    last = False
    while context.open_tokens and not last:
        last = anyio.current_time() >= end
        for token in sorted(context.open_tokens):
            context.add_tasks(await context.list_tasks(startedBy=token))
        await anyio.sleep(context.setup.poll)
    context.open_tokens.clear()


def _left(context: Context) -> Iterable[str]:
    for arn in context.tasks:
        if arn not in context.stopped:
            yield f"the task {arn.rpartition('/')[2]} could not be stopped"
    for token in sorted(context.open_tokens):
        yield f"tasks with startedBy {token} may be there: their start had no answer"
    if context.draining is not None:
        yield f"the container instance {context.draining} is DRAINING: it could not be set back to ACTIVE"


def _report(context: Context, why: Mapping[str, str], left: tuple[str, ...], *, interrupted: bool) -> Report:
    reasons = dict.fromkeys(FACTS, INTERRUPTED) | dict(why) if interrupted else why
    return Report(
        about=_about(context.setup),
        findings=whole(context.findings, reasons),
        tasks=len(context.tasks),
        requests=context.requests,
        left=left,
        interrupted=interrupted,
    )


def _about(setup: Setup) -> dict[str, str]:
    return {
        "endpoint": setup.endpoint,
        "Region": setup.region,
        "cluster": setup.cluster.rpartition("/")[2],
        "task definition": setup.task_definition.rpartition("/")[2],
        "container instances": str(len(setup.instances)),
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "aioecs": aioecs.__version__,
    }
