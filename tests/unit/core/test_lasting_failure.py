"""A failure that stays is told from one that passes."""

from video2act_ros.core.errors import InputError
from video2act_ros.core.lasting_failure import LASTING_S, LastingFailure

ERROR = RuntimeError("device-side assert")


def test_nothing_but_errors_for_a_while_is_a_lasting_failure():
    """The newest one is told."""
    failures = LastingFailure()
    told = [failures.failed(ERROR, now_s) for now_s in (0.0, 1.0, LASTING_S)]
    assert told[:2] == [None, None]
    assert "device-side assert" in told[2]


def test_a_success_in_between_or_a_single_error_is_none():
    """Also when the errors are far apart."""
    failures = LastingFailure()
    assert failures.failed(ERROR, 0.0) is None
    assert failures.failed(ERROR, LASTING_S) is None
    failures.succeeded()
    assert failures.failed(ERROR, 2 * LASTING_S) is None


def test_refusals_of_inputs_never_count():
    """A missing camera is no reason for a new process."""
    failures = LastingFailure()
    assert all(failures.failed(InputError("no image"), float(now_s)) is None for now_s in range(100))
