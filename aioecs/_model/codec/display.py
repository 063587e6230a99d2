"""How values show themselves, and how a misspelled member is corrected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

import attrs


def shown_members(value: Any) -> Iterator[str]:
    """Yield `name=value` for each member of an attrs value that isn't None or empty and may be shown."""
    for field in attrs.fields(type(value)):
        held = getattr(value, field.name, None)
        if field.repr is not False and not (held is None or (isinstance(held, (tuple, Mapping, str)) and not held)):
            yield f"{field.name}={field.repr(held) if callable(field.repr) else repr(held)}"


def shown(held: Any) -> str:
    """Show what stands where shapes belong; of anything else only the type, for a secret may be in it."""
    if held is None or attrs.has(type(held)):
        return repr(held)
    if type(held) is tuple:
        return f"({', '.join(shown(one) for one in held)}{',' * (len(held) == 1)})"
    return f"<a {type(held).__name__}>"


def shown_names(extra: Any) -> str:
    """Show which members were kept, never their values: one of them may be secret."""
    if not isinstance(extra, Mapping):
        return shown(extra)
    return "{" + ", ".join(sorted(str(name) for name in extra)) + "}"


REDACTED = "[redacted]"


def redacted(held: Any) -> Any:
    """Return what stands in the place of a secret: of a map the names are kept."""
    if held is None or (isinstance(held, Mapping) and not held):
        return held
    return dict.fromkeys(held, REDACTED) if isinstance(held, dict) else REDACTED


def redacted_parts(held: Any) -> Any:
    """Return what stands where shapes belong, without secrets."""
    if type(held) is tuple:
        return tuple([redacted_parts(one) for one in held])
    return held.redacted() if attrs.has(type(held)) else redacted(held)


def refuse_unexpected(cls: type[Any], given: Iterable[str]) -> NoReturn:
    """Raise the TypeError of a constructor that was given no members of the class; it names the one that was meant."""
    name = next(iter(given))
    meant = _meant(name, [field.name for field in attrs.fields(cls)])
    hint = f"; did you mean {meant}?" if meant else ""
    raise TypeError(f"{cls.__name__} has no member {name!r}{hint}")


def _meant(name: str, members: list[str]) -> str | None:
    """Return the member that a name stands for: boto3's spelling of it, or one that is close to it."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return next(iter([snake] if snake in members else get_close_matches(snake, members, 1, 0.75)), None)
