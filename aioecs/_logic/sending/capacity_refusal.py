"""Decides which refusals pass once there is capacity: an open list, since ECS documents few of its reasons.

A refusal that is not on the list is not retried.
"""

from __future__ import annotations

from aioecs._model.start_result import Outcome, StartResult
from aioecs.errors import ClientException, InvalidParameterException

CODES = ("RESOURCE", "AGENT")
"""The part before the colon in reasons such as `RESOURCE:MEMORY`. [docs, "API failure reasons"]"""
PHRASES = (
    "capacity is unavailable",  # AWS Fargate and FARGATE_SPOT [reported]
    "reached the limit on the number of",  # the account's quota of tasks or vCPUs: tasks that end free some [reported]
    "no container instances were found",  # a capacity provider or cluster that has not scaled out yet [reported]
    "insufficient capacity",  # an Auto Scaling group or Managed Instances that can't get hosts [reported]
)
"""Parts of reasons that ECS gives in prose, in lower case."""


def passes_with_capacity(start: StartResult) -> bool:
    """Return whether a start was refused for want of capacity."""
    if start.outcome is not Outcome.REFUSED:
        return False
    if start.failure is not None:
        return is_capacity_reason(start.failure.reason or "")
    is_prose = isinstance(start.error, (ClientException, InvalidParameterException))
    return is_prose and _names_capacity(str(start.error))


def is_capacity_reason(reason: str) -> bool:
    """Return whether a reason of `failures` passes when capacity comes."""
    return reason.partition(":")[0] in CODES or _names_capacity(reason)


def _names_capacity(reason: str) -> bool:
    return any(phrase in reason.lower() for phrase in PHRASES)
