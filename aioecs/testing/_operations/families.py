"""Families of task definitions: listing, deregistering and deleting their revisions."""

from __future__ import annotations

from aioecs.testing._errors import AwsError, client_error, invalid
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, text, texts
from aioecs.testing._operations.reads import paged
from aioecs.testing._operations.wire_format import failure
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import Definition

_STILL_ACTIVE = (  # [reported]
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
)
DELETED = 10  # [model] DeleteTaskDefinitions "up to 10 task definitions"


def list_task_definitions(account: Account, request: Json, _: float, __: int) -> Json:
    """List revisions of one family or all, those that are ACTIVE if no status is given. [model]"""
    family, status = text(request, "familyPrefix"), text(request, "status") or "ACTIVE"
    sort = rules.check_choice(request, "sort", ("ASC", "DESC"))
    found = [
        each.arn
        for name in sorted(account.definitions, reverse=sort == "DESC")
        for each in account.definitions[name][:: -1 if sort == "DESC" else 1]
        if family in (None, "", name) and each.wire["status"] == status
    ]
    return paged(request, "taskDefinitionArns", found)


def list_task_definition_families(account: Account, request: Json, _: float, __: int) -> Json:
    """List families with a prefix; without a status, all. [model]"""
    prefix = text(request, "familyPrefix") or ""
    status = rules.check_choice(request, "status", ("ACTIVE", "INACTIVE", "ALL")) or "ALL"
    found = [
        name
        for name, revisions in sorted(account.definitions.items())
        if name.startswith(prefix) and status in ("ALL", _status(revisions))
    ]
    return paged(request, "families", found)


def _status(revisions: list[Definition]) -> str:
    return "ACTIVE" if any(each.active for each in revisions) else "INACTIVE"


def deregister_task_definition(account: Account, request: Json, now: float, __: int) -> Json:
    """Set a revision INACTIVE: no more tasks can be started from it; those that run are not stopped. [model]"""
    definition = _revision(account, text(request, "taskDefinition"))
    deactivate(definition, now)
    return {"taskDefinition": definition.wire}


def deactivate(definition: Definition, now: float) -> None:
    """Set a revision INACTIVE; has no effect unless it is ACTIVE."""
    if definition.active:
        definition.active = False
        definition.wire["status"] = "INACTIVE"
        definition.wire["deregisteredAt"] = round(now, 3)


def delete_task_definitions(account: Account, request: Json, now: float, __: int) -> Json:
    """Delete revisions that are INACTIVE; each that can't be deleted is a failure. [model]

    They stay DELETE_IN_PROGRESS, as in ECS while a task or service refers to them.
    """
    given = texts(request, "taskDefinitions")
    if not 1 <= len(given) <= DELETED:
        raise invalid(f"taskDefinitions must have 1 to {DELETED} items.")
    deleted: list[Json] = []
    failures: list[Json] = []
    for identifier in given:
        try:
            definition = _revision(account, identifier)
        except AwsError as error:
            failures.append(failure(identifier, error.message))
            continue
        if definition.active:
            failures.append(failure(definition.arn, _STILL_ACTIVE))
            continue
        definition.wire["status"] = "DELETE_IN_PROGRESS"
        definition.wire.setdefault("deleteRequestedAt", round(now, 3))
        deleted.append(definition.wire)
    return {"taskDefinitions": deleted, "failures": failures}


def _revision(account: Account, identifier: str | None) -> Definition:
    """Return a revision that is named with its number. [model] "You must specify a revision"."""
    _, revision = account.arns.definition_name(identifier)
    if revision is None:
        raise client_error("Invalid revision number: a revision must be given with the family.")
    return account.definition(identifier, active=False)
