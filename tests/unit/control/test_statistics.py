import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video2act_ros.control.statistics import Distribution


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=300))
def test_percentiles_agree_with_the_sorted_values(values):
    """Percentiles are within a bin's 1 % of the exact ones, the maximum is exact."""
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    summary = distribution.summary()
    assert summary.count == len(values)
    assert summary.maximum == max(values)
    exact = np.sort(values)
    assert summary.p50 == pytest.approx(exact[int(np.ceil(0.5 * len(values))) - 1], rel=0.011)
    assert summary.p99 == pytest.approx(exact[int(np.ceil(0.99 * len(values))) - 1], rel=0.011)


def test_nothing_measured_is_not_zero():
    """An empty distribution has no percentiles, and values that are not finite do not count."""
    distribution = Distribution()
    distribution.add(float("nan"))
    summary = distribution.summary()
    assert (summary.count, summary.p50, summary.p99, summary.maximum) == (0, None, None, None)
