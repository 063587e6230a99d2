"""_faults: scripts of faults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from characters import CHARACTERS
from hypothesis import given, settings
from hypothesis import strategies as st

from aioecs.testing._engine import OPERATIONS as ENGINE_OPERATIONS
from aioecs.testing._faults import (
    KINDS,
    OPERATIONS,
    Fault,
    FaultScript,
    faults_from_json,
    faults_from_script,
    faults_to_json,
)


def kinds(script: FaultScript, calls: int, operation: str = "StartTask") -> str:
    """Return the first letter of the fault that hits each of so many calls, - for none."""
    return "".join(fault.kind[0] if (fault := script.take(operation)) else "-" for _ in range(calls))


def test_the_operations_are_those_of_the_engine() -> None:
    """A fault for an unknown operation would never hit."""
    assert set(OPERATIONS) == set(ENGINE_OPERATIONS)


@pytest.mark.parametrize(
    ("faults", "hits"),
    [
        ([], "-----"),
        ([Fault("reset")], "r----"),
        ([Fault("reset", times=2)], "rr---"),
        ([Fault("reset", times=None)], "rrrrr"),
        ([Fault("reset", skip=2)], "--r--"),
        ([Fault("reset"), Fault("close")], "rc---"),
        ([Fault("reset", skip=1, times=None), Fault("close")], "crrrr"),
        ([Fault("reset", operation="StopTask")], "-----"),
        ([Fault("reset", operation="*")], "r----"),
        ([Fault("reset", chance=0, times=None), Fault("error")], "e----"),
    ],
)
def test_the_first_matching_fault_hits(faults: list[Fault], hits: str) -> None:
    """Each counts its own calls."""
    assert kinds(FaultScript(faults), 5) == hits


def test_chances_are_drawn_from_a_seeded_generator() -> None:
    """The same seed gives the same faults, about as often as `chance` says; another seed gives others."""
    draws = [kinds(FaultScript([Fault("reset", chance=0.14, times=None)], seed=seed), 1000) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert 90 < draws[0].count("r") < 190


def test_a_script_can_be_changed() -> None:
    """With add, set and clear; faults that can't hit again are not listed."""
    script = FaultScript([Fault("reset"), Fault("close", times=None)])
    assert len(script) == 2
    script.take("StartTask")
    assert list(script) == [Fault("close", times=None)]
    assert repr(script).startswith("FaultScript([Fault(kind='close'")
    script.add(Fault("error"))
    assert len(script) == 2
    script.set([Fault("empty")])
    assert kinds(script, 2) == "e-"
    script.add(Fault("empty"))
    script.clear()
    assert kinds(script, 1) == "-"


def fault_of(members: dict[str, Any]) -> Fault:
    """Return a fault with these members, which may be invalid."""
    merged: dict[str, Any] = {"kind": "reset", **members}
    return Fault(**merged)


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"kind": "explode"}, "kind: one of hang, reset"),
    ({"when": "later"}, "when: one of unread, before, after, not 'later'"),
    ({"kind": "error", "when": "unread"}, "when: 'unread' is for hang, reset, close only"),
    ({"kind": "throttle", "when": "after"}, "when: 'before', as a throttle comes before"),
    ({"operation": "StartTsk"}, "operation: '\\*' for any, or one of StartTask"),
    ({"times": 0}, "times: a whole number of at least 1"),
    ({"times": True}, "times: "),
    ({"skip": -1}, "skip: a whole number of at least 0"),
    ({"chance": 3}, "chance: a number from 0 to 1, not 3"),
    ({"kind": "delay"}, "seconds: a delay needs them"),
    ({"kind": "mutated", "find": "x"}, "when: 'after', as only then there is an answer"),
    ({"kind": "mutated", "when": "after"}, "find: mutated needs a regular expression"),
    ({"kind": "mutated", "when": "after", "find": "("}, "find: a regular expression, and"),
    ({"kind": "mutated", "when": "after", "find": "x", "replace": r"\g<9>"}, "find: a regular expression, and"),
    ({"kind": "mutated", "when": "after", "find": 3}, "find: a regular expression, and"),
    ({"kind": "mutated", "when": "after", "find": "x", "replace": 3}, "find: a regular expression, and"),
    ({"kind": "reset", "find": "x"}, "find: only mutated takes it"),
    ({"kind": "reset", "replace": "x"}, "replace: only mutated takes it"),
    ({"kind": "hang", "seconds": -1}, "seconds: a number of at least 0"),
    ({"kind": "hang", "seconds": float("inf")}, "seconds: "),
    ({"seconds": 1}, "seconds: only hang and delay take them"),
    ({"code": ""}, "code: the name of an error"),
    ({"message": 3}, "message: a string"),
    ({"status": 200}, "status: an HTTP status from 400 to 599"),
]


@pytest.mark.parametrize(("members", "message"), INVALID)
def test_an_invalid_fault_is_refused(members: dict[str, Any], message: str) -> None:
    """With a ValueError that names the member, the rule and the value."""
    with pytest.raises(ValueError, match=f"^{message}"):
        fault_of(members)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "faults: not JSON"),
        ("{}", "faults: expected a list of objects, not dict"),
        ('[{"kind": "reset"}, 3]', r"faults\[1\]: expected an object, not int"),
        ('[{"kind": "reset", "Kind": 1}]', r"faults\[0\].Kind: unknown member; known are chance, code"),
        ('[{"when": "after"}]', r"faults\[0\].kind: is required, one of hang"),
        *((json.dumps([{"kind": "reset"}, {"kind": "reset", **members}]), rf"faults\[1\].{message}")
          for members, message in INVALID),
    ],
)  # fmt: skip
def test_the_error_of_malformed_json_names_the_place(text: str, message: str) -> None:
    """The entry and the member."""
    with pytest.raises(ValueError, match=message):
        faults_from_json(text)


FAULTS = st.builds(
    Fault,
    kind=st.sampled_from([kind for kind in KINDS if kind not in ("delay", "hang", "throttle", "mutated")]),
    when=st.sampled_from(["before", "after"]),
    operation=st.sampled_from([*OPERATIONS, "*"]),
    times=st.none() | st.integers(1, 9),
    skip=st.integers(0, 9),
    chance=st.floats(0, 1),
    code=st.text(CHARACTERS, min_size=1),
    message=st.text(CHARACTERS),
    status=st.integers(400, 599),
) | st.builds(Fault, kind=st.sampled_from(["delay", "hang"]), seconds=st.floats(0, 99))


@settings(max_examples=30)
@given(st.lists(FAULTS, max_size=3))
def test_a_script_survives_json(faults: list[Fault]) -> None:
    """Members with their default may be left out."""
    assert faults_from_json(faults_to_json(faults)) == faults
    assert faults_to_json([Fault("reset")]) == '[{"kind": "reset"}]'


def test_a_script_of_lines() -> None:
    """One object a line; comments and empty lines are skipped; a JSON list is accepted too."""
    text = '# comment\n\n{"kind": "reset", "when": "after"}\n  {"kind": "throttle", "chance": 0.5}\n'
    assert faults_from_script(text) == [Fault("reset", when="after"), Fault("throttle", chance=0.5)]
    assert faults_from_script(' [{"kind": "reset"}]') == [Fault("reset")]
    assert faults_from_script("") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kind = reset", "^line 3: not JSON: "),
        ("17", "^line 3: expected an object, not int"),
        ('{"when": "after"}', "^line 3.kind: is required"),
        ('{"kind": "reset", "chances": 1}', "^line 3.chances: unknown member"),
        ('{"kind": "reset", "chance": 3}', "^line 3.chance: a number from 0 to 1"),
    ],
)
def test_the_error_of_a_malformed_line_names_it(line: str, message: str) -> None:
    """By its number, comments counted."""
    with pytest.raises(ValueError, match=message):
        faults_from_script(f'# comment\n{{"kind": "reset"}}\n{line}')


@pytest.mark.parametrize("script", ["[" * 100_000, '{"kind":' * 100_000])
def test_a_script_that_is_nested_too_deep(script: str) -> None:
    """It is a ValueError, not a RecursionError."""
    with pytest.raises(ValueError, match="not JSON"):
        faults_from_script(script)
