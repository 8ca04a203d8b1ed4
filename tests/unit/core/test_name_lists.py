import pytest

from video2act_ros.core.name_lists import difference


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (("a", "b"), ("a", "b"), ""),
        (("a", "b", "c"), ("a", "d"), "only one has b, c; only two has d"),
        (
            ("a", "b", "c"),
            ("a", "c", "b"),
            "the order differs from number 2 on: one has b there, two c; one's order is a, b, c",
        ),
        ((), ("a",), "only two has a"),
    ],
)
def test_what_is_different_is_told(first, second, words):
    """Only the difference: fourteen names twice is no message."""
    assert difference(first, second, ("one", "two")) == words
