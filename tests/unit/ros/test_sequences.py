"""No message is taken for another publisher's, whether rclpy tells whose it is or not (Jazzy)."""

import pytest

from video2act_ros.ros.sequences import Sequences

A, B = b"gid of a", b"gid of b"


def arrivals(messages, publishers, told):
    """Feed (publisher, number, time) and return what was found."""
    sequences = Sequences()
    return [sequences.arrive(who if told else b"", *rest, publishers) for who, *rest in messages]


@pytest.mark.parametrize("told", [True, False])
def test_two_publishers_count_for_themselves(told):
    """Equal and lower numbers of another publisher are no repetition and no gap."""
    messages = [(A, 100, 1), (B, 1, 2), (A, 101, 3), (B, 2, 4), (A, 102, 5)]
    found = arrivals(messages, 2, told)
    assert not any(arrival.repeated or arrival.missing for arrival in found)
    assert len({found[index].publisher for index in (0, 2, 4)}) == 1
    assert found[1].publisher == found[3].publisher != found[0].publisher


@pytest.mark.parametrize("told", [True, False])
def test_what_a_new_subscription_brings_again_is_known(told):
    """Latched messages come once more with the time and number that they had."""
    found = arrivals([(A, 1, 10), (B, 1, 20), (A, 1, 10), (B, 1, 20), (B, 2, 30)], 2, told)
    assert [arrival.repeated for arrival in found] == [False, False, True, True, False]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("publishers", [1, 2])
def test_missing_numbers_are_counted(told, publishers):
    """Of the publisher that they are missing from."""
    messages = [(A, 5, 1), (A, 6, 2), (A, 10, 3)]
    if publishers == 2:
        messages[1:1] = [(B, 50, 1)]
    assert [arrival.missing for arrival in arrivals(messages, publishers, told)][-1] == 3


@pytest.mark.parametrize("told", [True, False])
def test_a_publisher_that_was_started_anew_begins_again(told):
    """Its first messages, with low numbers, are neither repeated nor lost."""
    found = arrivals([(A, 500, 1), (A, 501, 2), (B, 1, 3), (B, 2, 4), (B, 4, 5)], 1, told)
    assert [arrival.repeated for arrival in found] == [False] * 5
    assert [arrival.missing for arrival in found] == [0, 0, 0, 0, 1]


def test_messages_without_numbers_are_taken_as_they_come():
    """Not every middleware counts."""
    assert [arrival.repeated for arrival in arrivals([(A, 0, 1), (A, 0, 1)], 1, told=True)] == [False, False]
