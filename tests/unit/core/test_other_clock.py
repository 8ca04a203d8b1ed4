import pytest

from video2act_ros.core.other_clock import duration_words, is_other_clock, other_clock_words


@pytest.mark.parametrize(
    ("age_s", "other"), [(0.0, False), (-59.0, False), (-61.0, True), (7 * 86400.0, False), (1.7e9, True)]
)
def test_only_what_no_delay_explains_is_another_clock(age_s, other):
    """A camera may have been dead for a week; nothing is from the next minute."""
    assert is_other_clock(age_s) is other


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (0.352, "0.35 s"),
        (90.0, "90.00 s"),
        (150.0, "2.5 minutes"),
        (2e5, "2.3 days"),
        (1796058648.7, "56.9 years"),
    ],
)
def test_durations_are_told_in_the_unit_that_suits_them(duration_s, words):
    """Nobody counts 1796058648.7 s."""
    assert duration_words(duration_s) == words


def test_the_words_name_who_stamps_and_the_remedy():
    """In both directions."""
    assert other_clock_words(1.8e9, "the driver").startswith(
        "stamped 57.0 years ago, by another clock; let the driver"
    )
    assert "10.0 days in the future" in other_clock_words(-864000.0, "the driver")
