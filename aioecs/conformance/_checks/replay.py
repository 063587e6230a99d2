"""RunTask's clientToken: the same tasks again, a conflict, after the tasks have stopped, and when it ends."""

from __future__ import annotations

from aioecs.conformance._calls import Answer, Blocked
from aioecs.conformance._context import Context

_COUNT = 2
_TOKEN_END = 3660.0  # seconds after the tasks have stopped, by which the token has ended: an hour [docs], and a minute


async def replay(context: Context) -> None:
    """Send one RunTask several times."""
    token = f"aioecs-check-{context.run}-replay"
    first = await context.run_task(_COUNT, token)
    if len(first.arns) != _COUNT:
        raise Blocked(f"RunTask: {first}")
    context.add_finding("run.replay", *_same(first, await context.run_task(_COUNT, token)))
    other = await context.run_task(1, token)
    named = [str(arn) for arn in other.body.get("resourceIds", ())]
    holds = other.error == "ConflictException" and sorted(named) == sorted(first.arns)
    context.add_finding("run.conflict", holds, f"{other}, {len(named)} tasks named" if other.error else str(other))
    await context.stop(first.arns)
    for arn in first.arns:
        await context.until_stopped(arn)
    context.add_finding("run.replay_stopped", *_same(first, await context.run_task(_COUNT, token)))
    context.replayed = token, first.arns


async def token_end(context: Context) -> None:
    """Send the RunTask again when its token must have ended."""
    if context.replayed is None:
        raise Blocked("no token was replayed after its tasks had stopped")
    token, first = context.replayed
    await context.age(_TOKEN_END)
    late = await context.run_task(_COUNT, token)
    new = set(late.arns) - set(first)
    context.add_finding("run.token_end", len(new) == _COUNT, f"{late}, {len(new)} of them new")


def _same(first: Answer, again: Answer) -> tuple[bool, str]:
    """Return whether a replay has the tasks of the first answer, and what it has."""
    new = set(again.arns) - set(first.arns)
    same = again.error is None and sorted(again.arns) == sorted(first.arns)
    members = sorted({name for task in again.body.get("tasks", ()) for name in task})
    few = f", with {', '.join(members)} only" if same and len(members) < 5 else ""
    return same, f"{again}, {len(new)} of them new{few}"
