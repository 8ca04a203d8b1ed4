import pytest

from video2act_ros.cli.bench_control import parse_rates
from video2act_ros.core.errors import ConfigurationError


def test_rates_are_read_and_checked_before_anything_starts():
    """A wrong rate is refused at once with what is allowed, not by a node a minute later."""
    assert parse_rates("50,100, 200") == (50.0, 100.0, 200.0)
    with pytest.raises(ConfigurationError, match="50,100,200"):
        parse_rates("fast")
    with pytest.raises(ConfigurationError, match=r"\[1.0, 1000.0\]"):
        parse_rates("50,5000")
