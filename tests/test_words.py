"""The words: names, docstrings and comments use the field's terms, and none of the private language of the first drafts.

A name is split at underscores and capitals. A docstring or comment is searched as text, in any case. Each term has the
one to use instead; a legitimate use of a term is an exact exception with its reason.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("aioecs", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

# What a part of a name may not be, and what to say instead.
NAMES: dict[str, str] = {
    **dict.fromkeys(["doubt", "doubts", "doubtful", "unsure"], "ambiguous"),
    **dict.fromkeys(["desk", "desks"], "reconciler"),
    **dict.fromkeys(["look", "looks", "looked"], "lookup, poll"),
    **dict.fromkeys(["sweep", "sweeps", "sweeping", "swept"], "remove duplicates"),
    **dict.fromkeys(["custody"], "background tasks"),
    **dict.fromkeys(["door", "doors", "admits"], "gate"),
    **dict.fromkeys(["hub"], "monitor"),
    **dict.fromkeys(["vigil", "watcher", "roster", "sighting", "sight", "standing"], "waiter, poller, observation"),
    **dict.fromkeys(["asking", "asker"], "request"),
    **dict.fromkeys(["insist", "insists", "insisting"], "retry in place"),
    **dict.fromkeys(["placing", "survey", "wish", "wishes", "fleet", "seat", "seats"], "placement, inventory, candidate"),
    **dict.fromkeys(["telling", "tell", "tells", "told", "story", "stories"], "emit, notify, report"),
    **dict.fromkeys(["hear", "hears", "heard", "hearing", "overheard"], "receive, notice"),
    **dict.fromkeys(["verdict", "verdicts"], "result, outcome"),
    **dict.fromkeys(["act", "acts", "happening", "happened"], "action, event"),
    **dict.fromkeys(["witness", "witnesses"], "marker"),
    **dict.fromkeys(["rehearsal", "rehearse"], "capture, probe"),
    **dict.fromkeys(["quick", "scales", "weigh", "weighs", "weighed", "party", "parties"], "fast, size estimate"),
    **dict.fromkeys(["pulse", "pace", "pacer", "paced", "turn", "turns", "ticket", "tickets"], "rate limiter, permit"),
    **dict.fromkeys(["room", "rooms"], "capacity"),
    **dict.fromkeys(["rest", "rests"], "backoff"),
    **dict.fromkeys(["dice"], "jitter, random"),
    **dict.fromkeys(["shift", "carrying", "gentle"], "worker run, message handler"),
    **dict.fromkeys(["fly", "flies", "flying", "flown"], "in flight"),
    **dict.fromkeys(["news", "word", "words"], "change, text"),
}
# What a docstring or a comment may not say.
PHRASES: dict[str, str] = {
    r"in doubt|doubts?|doubtful|unsure": "ambiguous",
    r"desks?|vigils?|rosters?|sightings?|custody|hub": "reconciler, waiter, background tasks, monitor",
    r"sweeps?|sweeping|swept": "remove duplicates",
    r"turned away|turns? away": "refused",
    r"doors?|let in|lets in": "gate, admit",
    r"insists?|insisting|insisted": "retry in place",
    r"wish|wishes|stories|story|party|parties": "request, call",
    r"tell|tells|telling|told": "return, report, notify, receive",
    r"hear|hears|heard|hearing|overheard": "receive, notice",
    r"verdicts?": "result, outcome",
    r"witness(?:es)?|rehearsals?|rehearsed?": "marker, captured request",
    r"pulse|pacers?|paces?|tickets?": "rate limiter, permit",
    r"(?:its|their|a|the|one's) turns?": "permit",
    r"dice": "jitter",
    r"rooms?": "capacity",
    r"fly|flies|flying|flown": "in flight",
    r"(?:fast|plain) way": "native transport, botocore transport",
    r"stands? in line|in line": "queued",
    r"weighs?|weighed": "compare",
    r"news": "change",
    r"words?": "text, message",
    r"travels?|travelling": "send, pass",
}
# Legitimate uses, and why. A name is compared as a whole; a phrase as it stands, in lower case.
NAMES_ALLOWED: dict[str, str] = {}
PHRASES_ALLOWED: dict[str, str] = {}
# Files with private words that are still to be rewritten, and how many they hold: this may only shrink.
LEFT: dict[str, int] = {}


def parts_of(name: str) -> list[str]:
    """Split a name at underscores and capitals, in lower case."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def private_parts(name: str) -> list[str]:
    """Return the forbidden parts of a name."""
    return [] if name.strip("_") in NAMES_ALLOWED else [part for part in parts_of(name) if part in NAMES]


_ALLOWED = re.compile("|".join(map(re.escape, PHRASES_ALLOWED)) or r"(?!)", re.IGNORECASE)
_FORBIDDEN = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)


def private_phrases(text: str) -> list[str]:
    """Return the forbidden words of a text; code in backticks is not searched."""
    text = re.sub(r"``?[^`]*``?", "", " ".join(text.split()))
    return _FORBIDDEN.findall(_ALLOWED.sub("", text))


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield each docstring and comment of a file, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def names_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield each name that a file uses, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
            yield token.start[0], token.string


@cache
def findings(path: Path) -> list[str]:
    """Return the private words of a file, each with its line and the terms to use instead."""
    source = path.read_text()
    found = [f"{line}: {name}: {NAMES[part]}" for line, name in names_of(source) for part in private_parts(name)]
    return found + [f"{line}: {phrase}" for line, text in texts_of(source) for phrase in private_phrases(text)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_words_are_plain(path: Path) -> None:
    """No name, docstring or comment uses a private word."""
    if path == Path(__file__):
        pytest.skip("this file lists the words")
    found = findings(path)
    assert len(found) <= LEFT.get(str(path.relative_to(ROOT)), 0), "\n".join(found)


def test_the_list_of_files_left_is_true() -> None:
    """A file that was rewritten leaves the list."""
    assert [name for name in LEFT if not (ROOT / name).exists() or not findings(ROOT / name)] == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [("_told_early", ["told"]), ("ToldWatch", ["told"]), ("tellurium", []), ("IN_DOUBT", ["doubt"]), ("HTTPDoor", ["door"])],
)
def test_a_private_name_is_found(name: str, parts: list[str]) -> None:
    """By its parts, however it is written."""
    assert private_parts(name) == parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is told of\n    the end.", ["told"]),
        ("A start In Doubt.", ["In Doubt"]),
        ("`told` is a name", []),
        ("a storyboard", []),
    ],
)
def test_a_private_phrase_is_found(text: str, found: list[str]) -> None:
    """Across lines and in any case; not in code, and not as a part of a word."""
    assert private_phrases(text) == found
