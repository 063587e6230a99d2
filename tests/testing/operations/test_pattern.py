"""pattern: regular expressions in linear time, compared with Python's."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing._operations.pattern import Pattern, PatternError
from aioecs.testing._operations.query import QueryError, compile_query

single = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\.", r"\w", "-"])
patterns = st.recursive(
    single,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
        inner.map(lambda text: f"(?:{text})"),
    ),
    max_leaves=6,
)


@given(patterns, st.text("abc.-1", max_size=6))
def test_it_matches_what_python_matches(text: str, value: str) -> None:
    """For all patterns that both support."""
    assert Pattern(text).fullmatch(value) == (re.fullmatch(text, value) is not None)


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        ("^g2.*$", "g2.xlarge", True),
        ("(?i)G2", "g2", True),
        ("[]]", "]", True),
        ("{", "{", True),
        ("a{,}", "a{,}", True),
        (r"\x41", "A", True),
        ("", "", True),
        ("|a", "", True),
        ("é+", "éé", True),
    ],
)
def test_common_spellings(text: str, value: str, *, matches: bool) -> None:
    """Anchors around the whole pattern, and unusual but valid spellings."""
    assert Pattern(text).fullmatch(value) is matches


@pytest.mark.parametrize(
    "text",
    ["(", ")", "(a", "*", "a**", "a*+", "[a", "\\", r"(a)\1", "(?=a)", "(?P<n>a)", "a^b", "a$b", "a{2,1}", "[z-a]",
     r"\b", "(" * 60 + ")" * 60, "(((a{99}){99}){99})", "a{9999}"],
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    """Invalid patterns, those that need backtracking, and those that are too large."""
    with pytest.raises(PatternError):
        Pattern(text)


@pytest.mark.parametrize("text", ["(a+)+b", "(a|aa)+b", "(.*)*b", "(a*)*(a*)*b", "(a?){100}a{100}b", "([a-z]+)*[0-9]"])
def test_no_pattern_blocks_the_server(text: str) -> None:
    """Python's engine would take hours for each; this one takes milliseconds of CPU."""
    began = time.thread_time()
    assert not Pattern(text).fullmatch("a" * 255)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "not " * 10_000 + "agentConnected == true",
        "(" * 10_000,
        " or ".join(["attribute:a =~ (a+)+b"] * 30),
        "attribute:a == " + "x" * 20_000,
        "attribute:a =~ (a",
    ],
)
def test_no_expression_blocks_the_server(text: str) -> None:
    """Nesting, length and the number of patterns are limited, and the message is short."""
    with pytest.raises(QueryError) as raised:
        compile_query(text)
    assert len(str(raised.value)) < 400
