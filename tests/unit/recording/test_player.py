"""Playing in time."""

import threading
import time

import pytest
from made_bags import SECOND

from video2act_ros.recording.playing.player import Player
from video2act_ros.recording.playing.replay_plan import EpisodeBegin, ReplayMessage
from video2act_ros.recording.reading.bag import RawMessage

FROM_NS = 1000 * SECOND


class Stage:
    """Writes down what was published, and when."""

    def __init__(self):
        self.log = []
        self.episode_begun = threading.Event()

    def clock(self, time_ns):
        self.log.append(("clock", time_ns, time.monotonic()))

    def message(self, raw):
        self.log.append(("message", raw.time_ns, time.monotonic()))

    def episode(self, begin):
        self.log.append(("episode", begin.clock_ns, time.monotonic()))
        self.episode_begun.set()

    def of(self, kind):
        return [entry for entry in self.log if entry[0] == kind]


def at(offset_s):
    clock_ns = FROM_NS + round(offset_s * SECOND)
    return ReplayMessage(clock_ns, RawMessage("/a", clock_ns, "t", b""))


def begin(offset_s=0.0):
    return EpisodeBegin(FROM_NS + round(offset_s * SECOND), "why")


def play(rate, *events):
    stage = Stage()
    player = Player(stage, rate)
    player.play(events)
    return stage, player.figures()


@pytest.mark.parametrize("rate", [2.0, 4.0])
def test_no_message_comes_before_its_time(rate):
    """The rate divides every distance; being late is a machine's fault, being early would be ours."""
    stage, figures = play(rate, begin(), at(0.0), at(0.1), at(0.25))
    (_, _, started_s), *_ = stage.of("episode")
    for (_, time_ns, when_s), offset_s in zip(stage.of("message"), (0.0, 0.1, 0.25), strict=True):
        assert time_ns == at(offset_s).clock_ns
        assert when_s - started_s >= offset_s / rate - 1e-3
    assert figures.messages == {"/a": 3}
    assert figures.recorded_s == pytest.approx(0.25)
    assert 0 < figures.speed <= rate * 1.01


def test_the_clock_ticks_between_messages_and_never_goes_back():
    """Live nodes judge ages by it, also while nothing was recorded."""
    stage, _ = play(1.0, begin(), at(0.0), at(0.2))
    clocks = [time_ns for _, time_ns, _ in stage.of("clock")]
    assert len(clocks) >= 5
    assert clocks == sorted(clocks)
    assert clocks[0] == FROM_NS
    assert 0 <= at(0.2).clock_ns - clocks[-1] <= 0.002 * SECOND


@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_the_clock_is_told_before_the_message_of_its_time(rate):
    """A stamp in the future would make the arm hold, also where messages follow each other faster than recorded."""
    stage, _ = play(rate, begin(), *(at(offset / 100) for offset in range(10)))
    shown = 0
    for kind, time_ns, _ in stage.log:
        shown = time_ns if kind == "clock" else shown
        assert kind != "message" or time_ns - shown <= 0.002 * SECOND


def test_a_step_back_is_told_first_and_then_the_episode():
    """A loop: clock, episode, first message; and no waiting for a time that has passed."""
    stage, figures = play(1.0, begin(), at(0.0), at(0.05), begin(), at(0.0), at(0.05))
    second = [index for index, entry in enumerate(stage.log) if entry[0] == "episode"][1]
    assert [entry[:2] for entry in stage.log[second - 1 : second + 1]] == [
        ("clock", FROM_NS),
        ("episode", FROM_NS),
    ]
    assert figures.episodes == 2
    assert figures.recorded_s == pytest.approx(0.1)


def test_a_step_forwards_is_not_waited_for():
    """Nothing was recorded meanwhile."""
    started_s = time.monotonic()
    stage, _ = play(1.0, begin(), at(0.0), begin(3600.0), at(3600.0))
    assert time.monotonic() - started_s < 60.0
    assert stage.of("message")[-1][1] == at(3600.0).clock_ns


def test_rate_zero_does_not_wait():
    """As fast as the stage takes them."""
    stage, figures = play(0.0, begin(), *(at(10.0 * index) for index in range(100)))
    assert len(stage.of("message")) == 100
    assert figures.speed > 100


def test_stop_ends_a_long_wait():
    """A signal is obeyed at once."""
    stage = Stage()
    player = Player(stage, 1.0)
    thread = threading.Thread(target=player.play, args=([begin(), at(0.0), at(0.9), at(3600.0)],))
    thread.start()
    assert stage.episode_begun.wait(20.0)
    player.stop()
    thread.join(20.0)
    assert not thread.is_alive()
    assert at(3600.0).clock_ns not in [entry[1] for entry in stage.of("message")]
