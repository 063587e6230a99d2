"""The words: names, docstrings and comments use the field's terms, and none of the first drafts' private language.

A name is split at underscores and capitals. A docstring or comment is searched as text, in any case. Each term has the
one to use instead; a legitimate use of a term is an exact exception with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

THIS = Path(__file__)
ROOT = THIS.parents[1]

# What a part of a name may not be, and what to say instead.
NAMES: dict[str, str] = {
    **dict.fromkeys(["doubt", "doubts", "doubtful", "unsure"], "ambiguous"),
    **dict.fromkeys(["desk", "desks"], "reconciler"),
    **dict.fromkeys(["look", "looks", "looked"], "look_up, lookup, poll"),
    **dict.fromkeys(["sweep", "sweeps", "sweeping", "swept"], "remove duplicates"),
    **dict.fromkeys(["custody"], "background tasks"),
    **dict.fromkeys(["door", "doors", "admits"], "gate"),
    **dict.fromkeys(["hub"], "monitor"),
    **dict.fromkeys(["vigil", "watcher", "roster", "sighting", "sight", "standing"], "waiter, poller, observation"),
    **dict.fromkeys(["asking", "asker"], "request"),
    **dict.fromkeys(["insist", "insists", "insisting"], "retry in place"),
    **dict.fromkeys(
        ["placing", "survey", "wish", "wishes", "fleet", "seat", "seats"], "placement, inventory, candidate"
    ),
    **dict.fromkeys(["telling", "tell", "tells", "told", "story", "stories"], "emit, notify, report"),
    **dict.fromkeys(["hear", "hears", "heard", "hearing", "overheard"], "receive, notice"),
    **dict.fromkeys(["verdict", "verdicts"], "result, outcome"),
    **dict.fromkeys(["act", "acts", "happening", "happened"], "action, event"),
    **dict.fromkeys(["witness", "witnesses"], "marker"),
    **dict.fromkeys(["rehearsal", "rehearse"], "capture, probe"),
    **dict.fromkeys(["quick", "scales", "weigh", "weighs", "weighed", "party", "parties"], "fast, size estimate"),
    **dict.fromkeys(["pulse", "pace", "pacer", "paced", "turn", "turns", "ticket", "tickets"], "rate limiter, permit"),
    **dict.fromkeys(["room", "rooms"], "capacity"),
    **dict.fromkeys(["rest", "rests", "resting", "rested"], "backoff"),
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
    r"(?:an?|one|no|each|the|every|last|this|further|second|more|two|many|few) looks?": "lookup, poll, check",
    r"(?:an?|its|no|the longest|longest|each|their) rests?|rests|rested|resting": "backoff, pause",
    r"in hand": "passed, in flight",
    r"on (?:its|their) way": "in flight",
    r"turns? of the loop": "pass of the loop",
}
# Legitimate uses, and why. A name is compared as a whole; a phrase as it stands, in lower case.
NAMES_ALLOWED: dict[str, str] = {
    "has_ticket": "of the ssl module's sessions",
    "third_party_handlers": "handlers of neither botocore nor aioecs",
    "quick": "the short run of a benchmark, `--quick`",
    "quick_pending": "likewise",
    "QUICK": "likewise",
    "Fleet": "several worker processes of a test",
    "fleet": "likewise",
    "in_fleet": "likewise",
    "SimulatedFleet": "likewise",
}
PHRASES_ALLOWED: dict[str, str] = {
    "session tickets": "of TLS",
    "third party": "software of others",
}


def parts_of(name: str) -> list[str]:
    """Split a name at underscores and capitals, in lower case."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


@cache
def private_parts(name: str) -> list[str]:
    """Return the forbidden parts of a name."""
    if name.strip("_") in NAMES_ALLOWED:
        return []
    parts = parts_of(name)
    looks_up = {
        at for at, part in enumerate(parts[1:]) if part == "up" and parts[at].startswith("look")
    }  # a plain verb
    return [part for at, part in enumerate(parts) if part in NAMES and at not in looks_up]


_ALLOWED = re.compile("|".join(map(re.escape, PHRASES_ALLOWED)) or r"(?!)", re.IGNORECASE)
_FORBIDDEN = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)


def private_phrases(text: str) -> list[str]:
    """Return the forbidden words of a text; code in backticks is not searched."""
    text = re.sub(r"``?[^`]*``?", "", " ".join(text.split()))
    return _FORBIDDEN.findall(_ALLOWED.sub("", text))


_COMMENT = re.compile(r"#(?<!\S#).*")  # it begins with a character that is found at once


def findings_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield the private words of a source, each with its line and the terms to use instead."""
    for match in _COMMENT.finditer(source):
        yield from ((source.count("\n", 0, match.start()) + 1, phrase) for phrase in private_phrases(match[0]))
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from ((line, phrase) for phrase in private_phrases(node.value.value))
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield from ((line, f"{name}: say {NAMES[part]}") for part in private_parts(name))


def findings(path: Path) -> list[str]:
    """Return the private words of a file, by line."""
    return [f"{line}: {what}" for line, what in sorted(findings_in(path.read_text()))]


@pytest.mark.parametrize("folder", ["aioecs", "benchmarks", "tests"])
def test_the_words_are_plain(folder: str) -> None:
    """No name, docstring or comment of a folder uses a private word."""
    paths = [path for path in sorted((ROOT / folder).rglob("*.py")) if path != THIS]
    wrong = [f"{path.relative_to(ROOT)}:{each}" for path in paths for each in findings(path)]
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("_told_early", ["told"]),
        ("ToldWatch", ["told"]),
        ("tellurium", []),
        ("IN_DOUBT", ["doubt"]),
        ("HTTPDoor", ["door"]),
    ],
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
