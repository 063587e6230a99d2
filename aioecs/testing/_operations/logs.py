"""GetLogEvents and FilterLogEvents of CloudWatch Logs, as far as a follower of tasks' logs uses them."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations.members import Json, flag, integer, text, texts
from aioecs.testing._state.account import Account
from aioecs.testing._state.log_streams import Line

MOST = 10_000  # [model] events of one answer
NAMED = 100  # [model] streams of one request


def get_log_events(account: Account, request: Json, now: float, _: int) -> Json:
    """Return a page of one stream; at its end the next token is the one that was given."""
    lines = _stream(account, text(request, "logGroupName"), text(request, "logStreamName"))
    limit = _limit(request)
    held = _within(lines, request)
    if (token := text(request, "nextToken")) is not None:
        number = _position(token)
        # A backward page ends before its position, a forward page begins after it.
        held = [each for each in held if each.number < number] if token[0] == "b" else _after(held, lines, number)
        page = held[-limit:] if token[0] == "b" else held[:limit]
    else:
        page = held[:limit] if flag(request, "startFromHead") else held[-limit:]
    first, last = (page[0].number, page[-1].number) if page else (_position(token or "f/0"),) * 2
    return {
        "events": [{**_event(each), "ingestionTime": round(now * 1000)} for each in page],
        "nextForwardToken": f"f/{last}",
        "nextBackwardToken": f"b/{first}",
    }


def filter_log_events(account: Account, request: Json, now: float, _: int) -> Json:
    """Return a page of several streams of a group, in the order of their times."""
    group = text(request, "logGroupName")
    names = _names(account, request, group)
    found = [(each, name) for name in names for each in _within(_stream(account, group, name), request)]
    found.sort()
    token = text(request, "nextToken")
    begin = _position(token) if token is not None else 0
    page = found[begin : begin + _limit(request)]
    answer: Json = {
        "events": [
            {
                **_event(line),
                "ingestionTime": round(now * 1000),
                "logStreamName": name,
                "eventId": f"{line.number:056d}",
            }
            for line, name in page
        ],
        "searchedLogStreams": [],
    }
    if begin + len(page) < len(found):
        answer["nextToken"] = f"f/{begin + len(page)}"
    return answer


def _names(account: Account, request: Json, group: str | None) -> Sequence[str]:
    """Return the streams to read: those that are named, or those of the group whose names have the prefix."""
    names, prefix = texts(request, "logStreamNames"), text(request, "logStreamNamePrefix")
    if names and prefix is not None:
        raise invalid("logStreamNames and logStreamNamePrefix can't both be given.")
    if len(names) > NAMED:
        raise invalid(f"logStreamNames must have {NAMED} members at most.")
    return names or [name for of, name in account.log_streams.streams if of == group and name.startswith(prefix or "")]


def _stream(account: Account, group: str | None, name: str | None) -> Sequence[Line]:
    if not group or not name:
        raise invalid("logGroupName and logStreamName are required.")
    lines = account.log_streams.streams.get((group, name))
    if lines is None:
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
    return lines


def _within(lines: Sequence[Line], request: Json) -> list[Line]:
    start, end = integer(request, "startTime") or 0, integer(request, "endTime")
    return [each for each in lines if each.at >= start and (end is None or each.at < end)]


def _after(held: Sequence[Line], lines: Sequence[Line], number: int) -> list[Line]:
    """Return what stands behind the line of this number: the order is that of the times."""
    place = next((line for line in lines if line.number == number), None)
    return [each for each in held if place is None or each > place]


def _event(line: Line) -> Json:
    return {"timestamp": line.at, "message": line.text}


def _limit(request: Json) -> int:
    limit = integer(request, "limit")
    if limit is None:
        return MOST
    if not 1 <= limit <= MOST:
        raise invalid(f"limit must be from 1 to {MOST}.")
    return limit


def _position(token: str) -> int:
    kind, _, number = token.partition("/")
    if kind not in ("f", "b") or not number.isdecimal():
        raise invalid("The specified nextToken is invalid.")
    return int(number)
