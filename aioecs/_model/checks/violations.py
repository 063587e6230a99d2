"""The check of a request member by member, which names what is wrong: its path, the rule, and what stands there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from aioecs._model.checks.rules import RULES
from aioecs._model.checks.table import EXTRA_DEPTH, INSTANCES, LIMITS, Limit, warn
from aioecs._model.codec.plain import Kind, Member, members
from aioecs._model.codec.shape import Shape
from aioecs.errors import InvalidRequest


def check_shape(value: Shape, path: str, any_number: bool) -> None:
    """Check each member of a value and all that it holds; `any_number` leaves the number of instances open.

    Raises:
        InvalidRequest: a rule is broken; it names the member, the rule, and what stands there instead.
    """
    shape = type(value)
    for member in members(shape):
        held = getattr(value, member.name)
        where = f"{path}.{member.name}" if path else member.name
        if held is None:
            if member.required:
                raise InvalidRequest(where, "is required")
            continue
        _check_member(held, member, where, any_number)
        limit = LIMITS.get((shape, member.name))
        if limit is not None and not (any_number and limit is INSTANCES and held):
            _check_limit(held, limit, where)
    if value.extra:
        _check_extra(value, f"{path}.extra" if path else "extra")
    for rule in RULES.get(shape, ()):
        rule(value, f"{path}." if path else "")


def _check_extra(value: Shape, where: str) -> None:
    """Refuse what would replace a member that was checked, or can't be sent at all."""
    given = cast("object", value.extra)
    if not isinstance(given, Mapping):
        raise InvalidRequest(where, "a map of ECS's own member names", _type_of(given))
    if not all(isinstance(name, str) for name in cast("Mapping[object, object]", given)):
        raise InvalidRequest(where, "a map of ECS's own member names")
    if _is_deep(value.extra):
        raise InvalidRequest(where, f"at most {EXTRA_DEPTH} levels deep")
    for member in members(type(value)):
        if member.wire in value.extra:
            raise InvalidRequest(f"{where}.{member.wire}", f"goes by its name here, {member.name}")
    try:
        json.dumps(value.extra, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(where, "what JSON can hold") from None


def _is_deep(held: Any) -> bool:
    """Return whether it is nested too deep, or holds itself; level by level, for recursion would not reach its end."""
    level = [held]
    for _ in range(EXTRA_DEPTH):
        level = [one for each in level for one in _parts(each)]
        if not level:
            return False
    return True


def _parts(held: Any) -> list[Any]:
    parts = held.values() if isinstance(held, Mapping) else held if isinstance(held, (list, tuple)) else ()
    return [part for part in parts if isinstance(part, (Mapping, list, tuple))]


def _check_member(held: Any, member: Member, where: str, any_number: bool) -> None:
    kind = member.kind
    if kind.container is Sequence:
        if not isinstance(held, tuple):
            raise InvalidRequest(where, f"a list of {_noun(kind)}", _type_of(held))
        for at, one in enumerate(held):
            _check_one(one, kind, f"{where}[{at}]", any_number)
    elif kind.container is Mapping:
        if not isinstance(held, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in held.items()):
            raise InvalidRequest(where, "a map of strings", _type_of(held))
    else:
        _check_one(held, kind, where, any_number)


def _check_one(one: Any, kind: Kind, where: str, any_number: bool) -> None:
    fits = isinstance(one, kind.base) and not (isinstance(one, bool) and kind.base is not bool)
    if not fits and not (kind.base is float and isinstance(one, int) and not isinstance(one, bool)):
        raise InvalidRequest(where, f"a {_noun(kind)}", found(one, kind.base))
    if isinstance(one, datetime) and one.tzinfo is None:
        raise InvalidRequest(where, "an aware datetime", "a naive one")
    if kind.enum is not None and one not in {member.value for member in kind.enum}:
        spelled: dict[str, str] = {member.value.lower(): member.value for member in kind.enum}
        near = difflib.get_close_matches(str(one).lower(), spelled, 1)
        hint = f" (meant {spelled[near[0]]}?)" if near else ""
        warn(where, f"one of {', '.join(spelled.values())}", f"{one!r}{hint}")
    if isinstance(one, Shape):
        check_shape(one, where, any_number)


_NOUNS: Mapping[type, str] = {str: "string", int: "whole number", bool: "bool", float: "number", datetime: "datetime"}


def _noun(kind: Kind) -> str:
    return _NOUNS.get(kind.base, kind.base.__name__)


def _type_of(held: Any) -> str:
    """Name the type of what was given: its value may be secret."""
    return f"a {type(held).__name__}"


def found(held: object, instead_of: type) -> str:
    """Name the type of what was given instead of a value of this type; of a dict, name the call that converts it."""
    if isinstance(held, Mapping) and issubclass(instead_of, Shape):
        return f"{_type_of(held)}: {instead_of.__name__}.from_dict makes one of a dict as boto3 has it"
    return _type_of(held)


def _check_limit(held: Any, limit: Limit, where: str) -> None:
    size: int = held if isinstance(held, int) else len(held)
    if size < limit.at_least or (limit.at_most is not None and size > limit.at_most):
        if limit.firm or size < min(limit.at_least, 1):
            raise InvalidRequest(where, limit.rule, size)
        warn(where, limit.rule, size)
    if limit.pattern is not None and not limit.pattern.fullmatch(str(held)):
        raise InvalidRequest(where, limit.rule, repr(held))
