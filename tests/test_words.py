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

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("aioecs", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

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
    r"(?:an?|one|no|each|the|every|last|this|further|second|more|two|many|few) looks?": "lookup, poll, check",
    r"(?:an?|its|no|the longest|longest|each|their) rests?|rests|rested": "backoff, pause",
    r"in hand": "passed, in flight",
    r"on (?:its|their) way": "in flight",
    r"turns? of the loop": "pass of the loop",
}
# Legitimate uses, and why. A name is compared as a whole; a phrase as it stands, in lower case.
NAMES_ALLOWED: dict[str, str] = {
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
# Files with private words that are still to be rewritten, and how many they hold: this may only shrink.
LEFT: dict[str, int] = {
    "aioecs/cli/_access.py": 3,
    "aioecs/cli/_app.py": 11,
    "aioecs/cli/_commands/chaos.py": 2,
    "aioecs/cli/_commands/local.py": 8,
    "aioecs/cli/_commands/run.py": 1,
    "aioecs/cli/_commands/start.py": 1,
    "aioecs/cli/_display/progress.py": 5,
    "aioecs/cli/_display/report.py": 1,
    "aioecs/cli/_display/start_counts.py": 3,
    "aioecs/cli/_display/streams.py": 5,
    "aioecs/cli/_display/summary.py": 4,
    "aioecs/cli/_display/text_lines.py": 9,
    "aioecs/cli/_options.py": 29,
    "aioecs/cli/_parser_messages.py": 3,
    "aioecs/cli/_run/jobs_run.py": 2,
    "aioecs/cli/_run/local_tasks.py": 1,
    "aioecs/cli/_run/messages.py": 6,
    "aioecs/cli/_run/options.py": 5,
    "aioecs/cli/_start/given_input.py": 4,
    "aioecs/cli/_start/jobs.py": 2,
    "aioecs/cli/_start/options.py": 2,
    "aioecs/cli/_start/requests.py": 2,
    "aioecs/cli/_start/run.py": 1,
    "aioecs/cli/_task_names.py": 9,
    "aioecs/cli/_task_results.py": 2,
    "aioecs/conformance/_report.py": 25,
    "aioecs/conformance/_runner.py": 2,
    "aioecs/conformance/_setup.py": 1,
    "tests/cli/commands/test_chaos.py": 6,
    "tests/cli/commands/test_conformance.py": 11,
    "tests/cli/commands/test_instances.py": 5,
    "tests/cli/commands/test_local.py": 9,
    "tests/cli/commands/test_logs.py": 2,
    "tests/cli/commands/test_run.py": 10,
    "tests/cli/commands/test_start.py": 10,
    "tests/cli/commands/test_stop.py": 3,
    "tests/cli/commands/test_tasks.py": 5,
    "tests/cli/commands/test_watch.py": 3,
    "tests/cli/commands/test_worker.py": 2,
    "tests/cli/display/test_output_format.py": 1,
    "tests/cli/display/test_progress.py": 2,
    "tests/cli/display/test_streams.py": 2,
    "tests/cli/display/test_summary.py": 1,
    "tests/cli/display/test_text_lines.py": 2,
    "tests/cli/logs/test_log_printer.py": 1,
    "tests/cli/run/test_local_tasks.py": 1,
    "tests/cli/run/test_messages.py": 2,
    "tests/cli/run/test_options.py": 2,
    "tests/cli/run/test_task_run.py": 1,
    "tests/cli/start/test_dry_run.py": 2,
    "tests/cli/start/test_given_input.py": 4,
    "tests/cli/start/test_options.py": 2,
    "tests/cli/start/test_requests.py": 4,
    "tests/cli/start/test_run.py": 5,
    "tests/cli/test_access.py": 1,
    "tests/cli/test_app.py": 19,
    "tests/cli/test_endings.py": 2,
    "tests/cli/test_options.py": 13,
    "tests/cli/test_parser_messages.py": 5,
    "tests/cli/test_task_names.py": 1,
    "tests/conformance/checks/test_answers.py": 2,
    "tests/conformance/checks/test_draining.py": 2,
    "tests/conformance/checks/test_rates.py": 5,
    "tests/conformance/checks/test_replay.py": 2,
    "tests/conformance/checks/test_stopping.py": 4,
    "tests/conformance/checks/test_visibility.py": 4,
    "tests/conformance/runs.py": 5,
    "tests/conformance/test_calls.py": 2,
    "tests/conformance/test_report.py": 22,
    "tests/conformance/test_runner.py": 8,
    "tests/conformance/test_tables.py": 18,
    "tests/worker/jobs/test_job_starter.py": 13,
    "tests/worker/ledgers/test_dynamodb.py": 2,
    "tests/worker/ledgers/test_three_ledgers.py": 8,
    "tests/worker/sqs/test_queue.py": 2,
    "tests/worker/test_message_handler.py": 4,
    "tests/worker/test_shutdown.py": 10,
    "tests/worker/test_signals.py": 2,
    "tests/worker/test_worker.py": 4,
    "tests/worker/test_worker_run.py": 9,
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


_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)


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


@cache
def findings(path: Path) -> list[str]:
    """Return the private words of a file, by line."""
    return [f"{line}: {what}" for line, what in sorted(findings_in(path.read_text()))]


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
