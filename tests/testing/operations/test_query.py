"""query: the cluster query language."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing._operations.query import QueryError, compile_query

HOST = {
    "attribute:ecs.instance-type": ["g2.xlarge"],
    "attribute:ecs.availability-zone": ["us-east-1a"],
    "attribute:bare": [""],
    "attribute:cores": ["8"],
    "agentConnected": ["true"],
    "agentVersion": ["1.14.5"],
    "ec2InstanceId": ["i-abcd1234"],
    "registeredAt": ["2018-02-13T12:00:00+00:00"],
    "runningTasksCount": ["10"],
    "task:group": ["service:production", "family:batch"],
}


def values(subject: str) -> Sequence[str]:
    """Return the values of a subject of HOST."""
    return HOST.get(subject, [])


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("attribute:ecs.instance-type == g2.xlarge", True),
        ("attribute:ecs.instance-type equals t2.small", False),
        ("attribute:ecs.instance-type != t2.small", True),
        ("attribute:ecs.instance-type not_equals g2.xlarge", False),
        ("attribute:gone == x", False),
        ("attribute:gone != x", True),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", True),
        ("attribute:ecs.availability-zone in [us-east-1b]", False),
        ("attribute:ecs.availability-zone not_in [us-east-1b]", True),
        ("attribute:ecs.availability-zone !in [ us-east-1a,us-east-1b ]", False),
        ("ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']", True),
        ('ec2InstanceId == "i-abcd1234"', True),
        ("attribute:ecs.instance-type =~ g2.*", True),
        ("attribute:ecs.instance-type matches g2", False),
        ("attribute:ecs.instance-type =~ (t2|g2)[.]x?large", True),
        ("attribute:ecs.instance-type =~ 'g2.* *'", True),
        ("attribute:ecs.instance-type !~ t2.*", True),
        ("attribute:ecs.instance-type not_matches g2.*", False),
        ("(attribute:ecs.instance-type =~ g2.*)", True),
        ("attribute:bare exists", True),
        ("attribute:gone exists", False),
        ("attribute:gone !exists", True),
        ("attribute:bare not_exists", False),
        ("attribute:bare == ''", True),
        ("attribute:cores > 16", False),
        ("attribute:cores >= 8", True),
        ("attribute:bare > zebra", False),
        ("agentConnected == true", True),
        ("agentConnected != true", False),
        ("agentVersion < 1.14.10", True),
        ("agentVersion greater_than 1.9.0", True),
        ("registeredAt < 2018-02-13", False),
        ("registeredAt > 2018-02-13T11:59:59Z", True),
        ("runningTasksCount == 10", True),
        ("runningTasksCount less_than_equal 9", False),
        ("runningTasksCount>9", True),
        ("runningTasksCount < 100", True),
        ("task:group == service:production", True),
        ("task:group == family:batch", True),
        ("task:group != family:batch", False),
        ("not(task:group == database)", True),
        ("!(task:group == family:batch)", False),
        ("not not agentConnected == true", True),
        ("attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d", True),
        ("attribute:gone exists && agentConnected == true", False),
        ("attribute:gone exists || agentConnected == true", True),
        ("agentConnected == true or agentConnected == true and attribute:gone exists", True),
        ("(agentConnected == true or agentConnected == true) and attribute:gone exists", False),
        ("attribute:gone exists or attribute:gone exists or agentConnected == true", True),
    ],
)
def test_an_expression_matches_as_documented(text: str, matches: bool) -> None:
    """Operators as signs and as names, arguments with and without quotes, `not` before `and` before `or`."""
    assert compile_query(text)(values) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a subject at character 1"),
        ("==", "expected a subject"),
        ("hostname == x", "unknown subject 'hostname'"),
        ("attribute:x", "expected an operator of attribute:x"),
        ("attribute:x is y", "expected an operator"),
        ("attribute:x 'quoted'", "expected an operator"),
        ("agentConnected > true", "expected an operator of agentConnected"),
        ("runningTasksCount in [1]", "expected an operator of runningTasksCount"),
        ("runningTasksCount > few", "runningTasksCount can't be compared with 'few'"),
        ("registeredAt > yesterday", "can't be compared"),
        ("agentVersion > new", "can't be compared"),
        ("attribute:x ==", "expected an argument"),
        ("attribute:x in a", r"expected \["),
        ("attribute:x in []", "expected an argument"),
        ("attribute:x in [a", r"expected \]"),
        ("attribute:x =~", "expected a pattern"),
        ("attribute:x =~ [a", "bad pattern"),
        ("(attribute:x exists", r"expected \)"),
        ("attribute:x exists attribute:y exists", "expected the end at character 20"),
        ("attribute:x exists)", "expected the end"),
        ("attribute:x exists and", "expected a subject"),
    ],
)
def test_the_error_of_a_malformed_expression_names_the_position(text: str, message: str) -> None:
    """A QueryError, which is a ValueError."""
    with pytest.raises(QueryError, match=message):
        compile_query(text)


@given(st.text(alphabet="abc ()[]!=<>&|~,'\"not in exists:attribute", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    """It compiles, or raises QueryError; no other exception."""
    try:
        compile_query(text)(values)
    except QueryError as error:
        assert "at character" in str(error)  # noqa: PT017 - the property is about both ways out
