"""The thread that owns a model."""

import itertools
import threading
import time

from video2act_ros.core.worker import Worker

PATIENCE_S = 10.0


def test_wakes_while_busy_lead_to_one_more_step():
    """Newest wins, nothing queues up behind a slow model."""
    entered, release = threading.Semaphore(0), threading.Semaphore(0)

    def step() -> bool:
        entered.release()
        return release.acquire()

    worker = Worker("test", step, rate_hz=1000.0, on_error=lambda error: None)
    worker.start()
    worker.wake()
    assert entered.acquire(timeout=PATIENCE_S)
    for _ in range(5):
        worker.wake()
    release.release()
    assert entered.acquire(timeout=PATIENCE_S)
    release.release()
    assert not entered.acquire(timeout=0.2)
    assert worker.stop(PATIENCE_S)


def test_steps_keep_the_rate():
    """The configured rate is an upper bound."""
    starts: list[float] = []
    done = threading.Event()
    worker: Worker

    def step() -> bool:
        starts.append(time.monotonic())
        if len(starts) == 4:
            done.set()
        worker.wake()
        return True

    worker = Worker("test", step, rate_hz=50.0, on_error=lambda error: None)
    worker.start()
    worker.wake()
    assert done.wait(PATIENCE_S)
    assert worker.stop(PATIENCE_S)
    assert all(later - earlier >= 0.0199 for earlier, later in itertools.pairwise(starts))


def test_an_error_is_told_and_the_thread_goes_on():
    """One bad input does not end the process."""
    errors: list[Exception] = []
    told = threading.Semaphore(0)

    def step() -> bool:
        raise ValueError("bad input")

    def on_error(error: Exception) -> None:
        errors.append(error)
        told.release()

    worker = Worker("test", step, rate_hz=1000.0, on_error=on_error)
    worker.start()
    for _ in range(2):
        worker.wake()
        assert told.acquire(timeout=PATIENCE_S)
    assert worker.stop(PATIENCE_S)
    assert [str(error) for error in errors] == ["bad input"] * 2


def test_a_worker_that_never_started_stops():
    """A failed activation is undone by `stop`."""
    worker = Worker("test", lambda: True, rate_hz=1.0, on_error=lambda error: None)
    assert worker.stop(0.0)


def test_a_step_without_work_does_not_delay_the_next():
    """The first image of a set must not make the set's last image wait for a period."""
    done = threading.Event()
    steps = iter([False, False, True])

    def step() -> bool:
        if worked := next(steps):
            done.set()
        else:
            worker.wake()
        return worked

    worker = Worker("test", step, rate_hz=0.01, on_error=lambda error: None)
    worker.start()
    worker.wake()
    assert done.wait(PATIENCE_S)
    assert worker.stop(PATIENCE_S)


def test_a_step_that_does_not_end_is_told_and_seen():
    """Whoever stops the thread learns that it still runs, and the step that its result is nobody's."""
    entered, release = threading.Event(), threading.Event()
    seen: list[bool] = []

    def step() -> bool:
        entered.set()
        release.wait(PATIENCE_S)
        seen.append(worker.stopping)
        return True

    worker = Worker("test", step, rate_hz=1000.0, on_error=lambda error: None)
    assert not worker.alive
    worker.start()
    worker.wake()
    assert entered.wait(PATIENCE_S)
    assert not worker.stop(0.0)
    assert worker.alive
    release.set()
    assert worker.stop(PATIENCE_S)
    assert not worker.alive
    assert seen == [True]


def test_a_report_that_fails_ends_no_thread():
    """The next step is done all the same."""
    told = threading.Semaphore(0)

    def step() -> bool:
        raise ValueError("bad input")

    def on_error(error: Exception) -> None:
        told.release()
        raise OSError("no log")

    worker = Worker("test", step, rate_hz=1000.0, on_error=on_error)
    worker.start()
    for _ in range(2):
        worker.wake()
        assert told.acquire(timeout=PATIENCE_S)
    assert worker.alive
    assert worker.stop(PATIENCE_S)
