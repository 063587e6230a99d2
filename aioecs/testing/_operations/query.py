"""The cluster query language: `attribute:ecs.instance-type =~ g2.* and not (task:group == database)`.

Grammar and subjects are those in the developer guide, "Create expressions to define container instances" [docs]::

    expression  = term { ("or" | "||") term }
    term        = factor { ("and" | "&&") factor }
    factor      = ("not" | "!") factor | "(" expression ")" | comparison
    comparison  = subject operator [ argument | "[" argument { "," argument } "]" ]

Arguments may be quoted. ECS uses Java's regular expressions; here they are those of `pattern`, which match in linear
time. They must match the whole value. A query is compiled once into a predicate. A subject has no value if the instance
lacks it, and several for `task:group`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aioecs.testing._operations.pattern import Pattern, PatternError

SubjectValues = Callable[[str], Sequence[str]]
"""Returns the values of a subject for one instance."""
Predicate = Callable[[SubjectValues], bool]
_Compare = Callable[[str, str], bool]

LENGTH = 20_000  # characters; ours: a list of some hundred instance ids fits
_DEPTH = 50  # nesting of parentheses and negations; ours
_PATTERNS = 20  # regular expressions in one expression; ours

_OPERATORS = {
    "==": "==", "equals": "==", "!=": "!=", "not_equals": "!=", ">": ">", "greater_than": ">", ">=": ">=",
    "greater_than_equal": ">=", "<": "<", "less_than": "<", "<=": "<=", "less_than_equal": "<=", "exists": "exists",
    "!exists": "!exists", "not_exists": "!exists", "in": "in", "!in": "!in", "not_in": "!in", "=~": "=~",
    "matches": "=~", "!~": "!~", "not_matches": "!~",
}  # fmt: skip
_TEXT = frozenset({"==", "!=", "in", "!in", "=~", "!~"})
_ORDER = frozenset({"==", "!=", ">", ">=", "<", "<="})
_SUBJECTS = {
    "agentConnected": _TEXT,
    "agentVersion": _ORDER,
    "ec2InstanceId": _TEXT,
    "registeredAt": _ORDER,
    "runningTasksCount": _ORDER,
    "task:group": frozenset(_OPERATORS.values()),
}
_ANY = frozenset(_OPERATORS.values())
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>'[^']*'|"[^"]*")
      | (?P<sign>!exists(?![\w-])|!in(?![\w-])|==|!=|>=|<=|=~|!~|&&|\|\||[()\[\],><!])
      | (?P<word>[^\s()\[\],'"=!<>&|~]+)
    )""",
    re.VERBOSE,
)
_BARE_PATTERN = re.compile(r"\s*(?P<word>(?:[^\s()'\"]|\([^\s()]*\))+)")


class QueryError(ValueError):
    """The text is not an expression of the cluster query language; the message has the reason and the position."""


def compile_query(text: str) -> Predicate:
    """Compile an expression into a predicate.

    Raises:
        QueryError: the text is not an expression.
    """
    if len(text) > LENGTH:
        raise QueryError(f"an expression has at most {LENGTH} characters")
    parser = _Parser(text)
    predicate = parser.expression()
    parser.expect_end()
    return predicate


class _Parser:
    """Recursive descent over the text; `at` is where the next token begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.patterns = 0

    def expression(self) -> Predicate:
        terms = [self.term()]
        while self.skip("or", "||"):
            terms.append(self.term())
        return terms[0] if len(terms) == 1 else lambda values_of: any(term(values_of) for term in terms)

    def term(self) -> Predicate:
        factors = [self.factor()]
        while self.skip("and", "&&"):
            factors.append(self.factor())
        return factors[0] if len(factors) == 1 else lambda values_of: all(factor(values_of) for factor in factors)

    def factor(self) -> Predicate:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error(f"nested more than {_DEPTH} deep")
        found = self.negated_or_grouped()
        self.depth -= 1
        return found

    def negated_or_grouped(self) -> Predicate:
        if self.skip("not", "!"):
            negated = self.factor()
            return lambda values_of: not negated(values_of)
        if self.skip("("):
            inner = self.expression()
            if not self.skip(")"):
                raise self.error("expected )")
            return inner
        return self.comparison()

    def comparison(self) -> Predicate:
        subject = self.argument("a subject")
        operators = _ANY if subject.startswith("attribute:") else _SUBJECTS.get(subject)
        if operators is None:
            raise self.error(f"unknown subject {subject!r}")
        operator = _OPERATORS.get(self.take() or "")
        if operator is None or operator not in operators:
            raise self.error(f"expected an operator of {subject}")
        if operator in ("exists", "!exists"):
            wanted = operator == "exists"
            return lambda values_of: bool(values_of(subject)) == wanted
        if operator in ("in", "!in"):
            return _any_of(subject, self.list_of_arguments(), negated=operator == "!in")
        if operator in ("=~", "!~"):
            return self.matching(subject, negated=operator == "!~")
        return self.compared(subject, operator)

    def matching(self, subject: str, *, negated: bool) -> Predicate:
        self.patterns += 1
        if self.patterns > _PATTERNS:
            raise self.error(f"more than {_PATTERNS} regular expressions")
        bare = _BARE_PATTERN.match(self.text, self.at)
        if bare is not None:
            self.at, written = bare.end(), bare["word"]
        else:
            written = self.argument("a pattern")
        try:
            pattern = Pattern(written)
        except PatternError as error:
            raise self.error(f"bad pattern {written!r}: {error}") from None
        return lambda values_of: any(pattern.fullmatch(value) for value in values_of(subject)) != negated

    def compared(self, subject: str, operator: str) -> Predicate:
        argument = self.argument("an argument")
        if operator in ("==", "!="):
            return _any_of(subject, [argument], negated=operator == "!=")
        key = _key_of(subject)
        try:
            bound = key(argument)
        except ValueError:
            raise self.error(f"{subject} can't be compared with {argument!r}") from None
        ordered = _ORDERED[operator]
        return lambda values_of: any(ordered(key(value), bound) for value in values_of(subject))

    def list_of_arguments(self) -> list[str]:
        if not self.skip("["):
            raise self.error("expected [")
        found = [self.argument("an argument")]
        while self.skip(","):
            found.append(self.argument("an argument"))
        if not self.skip("]"):
            raise self.error("expected ]")
        return found

    def argument(self, what: str) -> str:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match["sign"]:
            raise self.error(f"expected {what}")
        self.at = match.end()
        return match["quoted"][1:-1] if match["quoted"] else match["word"]

    def take(self) -> str | None:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match["quoted"]:
            return None
        self.at = match.end()
        return match["sign"] or match["word"]

    def skip(self, *tokens: str) -> bool:
        before = self.at
        if self.take() in tokens:
            return True
        self.at = before
        return False

    def expect_end(self) -> None:
        if self.text[self.at :].strip():
            raise self.error("expected the end")

    def error(self, message: str) -> QueryError:
        at = len(self.text) - len(self.text[self.at :].lstrip())
        return QueryError(f"{message} at character {at + 1} of {_short(self.text)!r}")


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def _any_of(subject: str, wanted: list[str], *, negated: bool) -> Predicate:
    return lambda values_of: any(value in wanted for value in values_of(subject)) != negated


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


def _key_of(subject: str) -> Callable[[str], Any]:
    return _KEYS.get(subject, _number_or_text)


def _version(value: str) -> tuple[int, ...]:
    return tuple(int(part) for part in value.split("."))


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number_or_text(value: str) -> tuple[float, str]:
    """Return a sort key with numbers before text, so that any two values of an attribute compare."""
    try:
        return float(value), ""
    except ValueError:
        return float("inf"), value


_KEYS: dict[str, Callable[[str], Any]] = {
    "agentVersion": _version,
    "registeredAt": _moment,
    "runningTasksCount": float,
}
