"""The fields of the library's log records, for structlog and JSON formatters.

Every record of the logger "aioecs" has all of them; one that does not apply is None, or empty. None holds a secret:
neither a request's overrides and environment, nor credentials, nor an idempotency key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from aioecs._model.call_events import Event
from aioecs._model.start_result import StartResult

DEFAULTS: Mapping[str, Any] = {
    "event": None,
    "token": None,
    "arns": (),
    "cluster": None,
    "operation": None,
    "outcome": None,
    "call": None,
    "error": None,
    "queue": None,
    "message_id": None,
}
_SAME_NAME = ("token", "cluster", "operation", "call", "error", "queue", "message_id")


def fill_in(record: logging.LogRecord) -> bool:
    """Give a record the fields that it lacks, so that a format may name any of them."""
    for name, default in DEFAULTS.items():
        if name not in record.__dict__:
            record.__dict__[name] = default
    return True


def fields_of_starts(starts: Iterable[StartResult]) -> dict[str, Any]:
    """Return what the log says of starts: their tokens, tasks and clusters, and the gravest outcome."""
    held = tuple(starts)
    return {
        "token": _joined(start.token for start in held),
        "arns": tuple(start.task.task_arn for start in held if start.task is not None and start.task.task_arn),
        "cluster": _joined(start.request.cluster for start in held),
        "operation": _joined(type(start.request).__name__.removesuffix("Request") for start in held),
        "outcome": max((start.outcome for start in held), key=lambda outcome: outcome.severity).value if held else None,
        "error": _joined(type(start.error).__name__ for start in held if start.error is not None),
    }


def fields_of_event(event: Event) -> dict[str, Any]:
    """Return what the log says of an event."""
    fields: dict[str, Any] = {"event": type(event).__name__}
    fields |= {name: found for name in _SAME_NAME if (found := getattr(event, name, None)) is not None}
    arns = getattr(event, "task_arns", None) or tuple(filter(None, [getattr(event, "task_arn", None)]))
    if arns:
        fields["arns"] = tuple(arns)
    if (outcome := getattr(event, "outcome", None)) is not None:
        fields["outcome"] = str(outcome)  # of a start, or of a worker's attempt
    if outcomes := getattr(event, "outcomes", ()):
        fields["outcome"] = max(outcomes, key=lambda outcome: outcome.severity).value
    if (code := getattr(event, "code", None)) is not None:
        fields["error"] = code
    return fields


def _joined(named: Iterable[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(name for name in named if name)) or None


logging.getLogger("aioecs").addFilter(fill_in)
