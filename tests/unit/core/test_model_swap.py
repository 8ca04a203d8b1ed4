"""A model is replaced only by one that is loaded, tested, and fits what the other system runs."""

import gc
import threading
import weakref

import pytest

from video2act_ros.core.errors import BundleError, InputError
from video2act_ros.core.model_swap import BundleStatus, Candidate, ModelSwap

PATIENCE_S = 10.0
RUNNING = "F"


class Model:
    """Something that can be watched for being freed."""


class Bench:
    """A swap whose loads go on when they are told to."""

    def __init__(self):
        self.noticed = threading.Semaphore(0)
        self.may_load = threading.Semaphore(0)
        self.loading = threading.Semaphore(0)
        self.loaded = []
        self.swap = ModelSwap(self.load, self.noticed.release)

    def load(self, name):
        self.loading.release()
        assert self.may_load.acquire(timeout=PATIENCE_S)
        self.loaded.append(name)
        if name == "broken":
            raise BundleError("half of it is missing")
        return Candidate(name, f"{name}@1", name[0], Model())

    def request(self, name):
        self.swap.request(name)
        self.finish()

    def finish(self):
        self.may_load.release()
        assert self.noticed.acquire(timeout=PATIENCE_S)

    def take(self):
        candidate = self.swap.take(RUNNING)
        return candidate and candidate.name


@pytest.fixture
def bench():
    return Bench()


def other(features_id=RUNNING, ready=""):
    return BundleStatus("bundle@1", features_id, ready)


def test_a_bundle_for_the_same_features_is_taken_at_once_and_once(bench):
    """It may replace its predecessor alone."""
    bench.swap.follow(other())
    bench.request("F2")
    assert bench.take() == "F2"
    assert bench.take() is None
    assert not bench.swap.idle
    bench.swap.done()
    assert bench.swap.idle


def test_other_features_wait_until_the_other_system_has_them_ready_or_runs_them(bench):
    """A pair changes together; until then both go on, and the reason is told."""
    bench.swap.follow(other())
    bench.request("G")
    assert bench.take() is None
    assert bench.swap.ready_features_id == "G"
    assert "bundle 'G' is loaded and waits" in bench.swap.waiting(RUNNING)
    bench.swap.follow(other(ready="H"))
    assert bench.take() is None
    bench.swap.follow(other(ready="G"))
    assert bench.swap.waiting(RUNNING) is None
    assert bench.take() == "G"
    bench.swap.follow(other("H"))
    bench.request("H")
    assert bench.take() == "H"


def test_without_another_system_nothing_is_waited_for(bench):
    """A single node may change to anything that fits its robot."""
    bench.request("G")
    assert bench.take() == "G"


def test_a_cancelled_candidate_is_neither_taken_nor_announced(bench):
    """Setting the parameter back undoes the request."""
    bench.swap.follow(other())
    bench.request("G")
    bench.swap.cancel()
    bench.swap.follow(other(ready="G"))
    assert bench.take() is None
    assert bench.swap.ready_features_id == ""
    assert bench.swap.waiting(RUNNING) is None


def test_a_request_during_a_load_replaces_it(bench):
    """The newest wish wins; what was being loaded is dropped."""
    bench.swap.request("F2")
    assert bench.loading.acquire(timeout=PATIENCE_S)
    bench.swap.request("F3")
    bench.may_load.release()
    bench.finish()
    assert bench.loaded == ["F2", "F3"]
    assert bench.take() == "F3"


def test_a_load_that_is_cancelled_leaves_nothing(bench):
    """Its result is not kept, and the next request works."""
    bench.swap.request("F2")
    assert bench.loading.acquire(timeout=PATIENCE_S)
    bench.swap.cancel()
    bench.may_load.release()
    bench.request("F3")
    assert bench.take() == "F3"


def test_a_failure_is_told_once_and_nothing_is_taken(bench):
    """The old model goes on."""
    bench.request("broken")
    assert bench.take() is None
    failure = bench.swap.take_failure()
    assert failure.name == "broken"
    assert "half of it" in str(failure.error)
    assert bench.swap.take_failure() is None
    assert bench.swap.idle


def test_nothing_here_keeps_a_model_alive(bench):
    """Once taken and dropped, or dropped untaken, it is freed without the garbage collector's help."""
    gc.disable()
    try:
        bench.request("F2")
        taken = weakref.ref(bench.swap._candidate.model)
        bench.take()
        assert taken() is None
        bench.request("G")
        dropped = weakref.ref(bench.swap._candidate.model)
        bench.swap.cancel()
        assert dropped() is None
    finally:
        gc.enable()


def test_a_status_survives_the_wire_and_nonsense_is_refused():
    """Both systems and the command node read what each tells."""
    status = other(ready="G")
    assert BundleStatus.from_json(status.to_json()) == status
    for text in ("", "[]", "{"):
        with pytest.raises(InputError, match="is no bundle status"):
            BundleStatus.from_json(text)


def test_a_candidate_that_cannot_be_put_to_use_is_a_failure_and_the_next_swap_works(bench):
    """The hand-over ends either way."""
    bench.request("F2")
    assert bench.take() == "F2"
    bench.swap.give_up("F2", RuntimeError("no memory"))
    assert bench.swap.idle
    assert bench.swap.take_failure().name == "F2"
    bench.request("F3")
    assert bench.take() == "F3"


def test_a_newer_request_hides_the_failure_of_the_one_handed_over(bench):
    """Only the newest wish is told of."""
    bench.request("F2")
    assert bench.take() == "F2"
    bench.swap.request("F3")
    bench.swap.give_up("F2", RuntimeError("no memory"))
    bench.finish()
    assert bench.swap.take_failure() is None
    assert bench.take() == "F3"


def test_a_loader_that_cannot_start_or_tell_leaves_the_next_swap_possible(bench, monkeypatch):
    """Too many threads, or a notice that raises: nothing stays behind as being loaded."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        bench.swap.request("F2")
    assert bench.swap.take_failure().name == "F2"
    assert bench.swap.idle

    def notice():
        bench.noticed.release()
        raise OSError("no log")

    bench.swap._changed = notice
    for name in ("F3", "F4"):
        bench.request(name)
        assert bench.take() == name
        bench.swap.done()
