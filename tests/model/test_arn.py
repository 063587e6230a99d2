"""arn: names of clusters and container instances, plain and as ARNs."""

from __future__ import annotations

import pytest

from aioecs._model.arn import Named, cluster_of, instance, short, task
from aioecs.errors import InvalidRequest

HERE = "aws:ecs:eu-west-1:123456789012"


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("4c543eed", "4c543eed"),
        (f"arn:{HERE}:container-instance/render/4c543eed", "4c543eed"),
        (f"arn:{HERE}:task-definition/frame:42", "frame:42"),
        ("frame:42", "frame:42"),
        ("render/", ""),
        ("", ""),
    ],
)
def test_short(name: str, last: str) -> None:
    """The last part of a name or an ARN is what answers and requests are held together by."""
    assert short(name) == last


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("render", Named(cluster="render", name="render")),
        ("Ren_der-7", Named(cluster="Ren_der-7", name="Ren_der-7")),
        ("r" * 255, Named(cluster="r" * 255, name="r" * 255)),
        (f"arn:{HERE}:cluster/render", Named("aws", "eu-west-1", "123456789012", "render", "render")),
        (
            "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/render",
            Named("aws-cn", "cn-north-1", "123456789012", "render", "render"),
        ),
        (
            "arn:aws-us-gov:ecs:us-gov-west-1:123456789012:cluster/r",
            Named("aws-us-gov", "us-gov-west-1", "123456789012", "r", "r"),
        ),
    ],
)
def test_a_cluster(text: str, named: Named) -> None:
    """A cluster's name gives only itself; its ARN gives the partition, the Region and the account too."""
    assert cluster_of(text, "cluster") == named


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ren der",
        "rendér",
        "render\n",
        "render/x",
        "r" * 256,
        f"arn:{HERE}:cluster/",
        f"arn:{HERE}:cluster/ren der",
        f"arn:{HERE}:cluster/render/x",
        f"arn:{HERE}:task/render/x",
        f"arn:{HERE}:render",
        "arn:aws:ecs:eu-west-1:12345:cluster/render",
        "arn:aws:sqs:eu-west-1:123456789012:cluster/render",
        f"arn:{HERE}:cluster/render\n",
    ],
)
def test_no_cluster(text: str) -> None:
    """What is neither a cluster's name nor its ARN is refused under the path that was given."""
    with pytest.raises(InvalidRequest) as caught:
        cluster_of(text, "cluster")
    assert (caught.value.path, caught.value.found) == ("cluster", repr(text))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("4c543eed", None),
        ("4c543eed-1b2c-4d5e-8f90-a1b2c3d4e5f6", None),
        (
            f"arn:{HERE}:container-instance/render/4c543eed",
            Named("aws", "eu-west-1", "123456789012", "render", "4c543eed"),
        ),
        (
            f"arn:{HERE}:container-instance/4c543eed-1b2c",
            Named("aws", "eu-west-1", "123456789012", "", "4c543eed-1b2c"),
        ),
        (
            "arn:aws-cn:ecs:cn-north-1:123456789012:container-instance/r/4c54",
            Named("aws-cn", "cn-north-1", "123456789012", "r", "4c54"),
        ),
    ],
)
def test_an_instance(text: str, named: Named | None) -> None:
    """An id gives nothing more, an ARN where it is; one of the old format has no cluster in it."""
    assert instance(text, "container_instances[0]") == named


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "4c54 3eed",
        " 4c543eed",
        "4c543eed ",
        "4c543eed\n",
        "4c54/3eed",
        "i-0a1b:2",
        "4ç54",
        f"arn:{HERE}:container-instance/",
        f"arn:{HERE}:container-instance/render/",
        f"arn:{HERE}:container-instance/ren der/4c54",
        f"arn:{HERE}:container-instance/render/x/4c54",
        f"arn:{HERE}:container-instance/render/4c 54",
        f"arn:{HERE}:task/render/4c54",
        f"arn:{HERE}:cluster/render",
        f"arn:{HERE}:container-instance/render/4c54\n",
        "arn:aws:ec2:eu-west-1:123456789012:instance/i-0a1b",
        "arn:aws:ecs::123456789012:container-instance/render/4c54",
    ],
)
def test_no_instance(text: str) -> None:
    """What is neither an instance's id nor its ARN is refused under the path that was given."""
    with pytest.raises(InvalidRequest) as caught:
        instance(text, "container_instances[3]")
    assert (caught.value.path, caught.value.found) == ("container_instances[3]", repr(text))


ID = "4c543eed" * 4


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ID, Named(name=ID)),
        ("4c543eed-0a1b-4c54-8eed-0a1b4c543eed", Named(name="4c543eed-0a1b-4c54-8eed-0a1b4c543eed")),
        (f"arn:{HERE}:task/render/{ID}", Named("aws", "eu-west-1", "123456789012", "render", ID)),
        (f"arn:{HERE}:task/{ID}", Named("aws", "eu-west-1", "123456789012", "", ID)),
    ],
)
def test_a_task(text: str, named: Named) -> None:
    """A task's ARN names its cluster; an old one and an id don't."""
    assert task(text, "tasks[0]") == named


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        f"arn:{HERE}:task/",
        f"arn:{HERE}:task/render/",
        f"arn:{HERE}:task/a b/{ID}",
        f"arn:{HERE}:container-instance/render/{ID}",
        f"arn:{HERE}:task-definition/frame:42",
        f"render/{ID}",
    ],
)
def test_what_is_no_task(text: str) -> None:
    """Anything else is named as what it is not."""
    with pytest.raises(InvalidRequest) as caught:
        task(text, "tasks[7]")
    assert caught.value.path == "tasks[7]"
