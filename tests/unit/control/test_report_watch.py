import numpy as np
import pytest

from video2act_ros.control.problem import describe
from video2act_ros.control.report_watch import ReportWatch
from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import REPORT_PERIOD_S, InputReport
from video2act_ros.core.thresholds import Outcome, Threshold
from video2act_ros.core.types import seconds_to_ns

GOOD = {"image_age": 0.05, "image_frozen": 0.0, "image_dark": 0.0}


@pytest.fixture
def watch(profile):
    return ReportWatch(profile)


def told(watch, now_s):
    return describe(watch.problems(seconds_to_ns(now_s)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"image_age": 0.61},
            "camera image of cam_high too old (0.61 s, limit 0.3 s); check the camera driver",
        ),
        ({"image_frozen": 0.7}, "image of cam_high frozen while joints move (0.70 s, limit 0.5 s)"),
        ({"image_dark": 0.6}, "image of cam_high dark (0.60 s, limit 0.5 s)"),
        ({"frame_gap": 1.2}, "gap in System 2's frames of cam_high (1.20 s, limit 1 s)"),
        ({"image_age": None}, "no camera image of cam_high yet; check the camera driver"),
    ],
)
def test_each_bad_value_is_named_with_camera_limit_and_remedy(watch, make_report, changes, words):
    """Image age, frozen image, dark image and frame gap: one clear reason each."""
    watch.add(make_report(10.0, **GOOD | changes))
    assert told(watch, 10.0).startswith(words)
    assert "check the" in told(watch, 10.0)


def test_good_reports_raise_nothing(watch, make_report):
    """Both systems' reports side by side."""
    watch.add(make_report(10.0))
    watch.add(make_report(10.0, system="system2", frame_gap=0.1))
    assert told(watch, 10.1) == ""


def test_every_camera_of_the_profile_must_be_reported(watch, make_report):
    """A camera that nobody watches is no good camera."""
    assert told(watch, 10.0) == "no input report on cam_high yet; check System 1"
    watch.add(make_report(10.0, system="system2", frame_gap=0.1))
    assert "no input report on cam_high" in told(watch, 10.0)


def test_images_go_on_ageing_between_two_reports(watch, make_report):
    """The age of a report is added to the ages that it carries."""
    watch.add(make_report(10.0, **GOOD | {"image_age": 0.2}))
    assert told(watch, 10.09) == ""
    assert told(watch, 10.11).startswith("camera image of cam_high too old (0.31 s")


def test_a_silent_system_is_named_and_not_its_cameras(watch, make_report):
    """A report that stops coming keeps no good value; System 1 is to blame, not the camera."""
    watch.add(make_report(10.0))
    assert told(watch, 10.2) == ""
    assert told(watch, 10.3).startswith("input report of System 1 too old (0.30 s); check System 1")
    assert "camera" not in told(watch, 10.3)


def test_a_silent_system2_counts_like_a_gap_in_its_frames(watch, make_report):
    """System 2 reports only frames; its silence holds from the gap's threshold on."""
    watch.add(make_report(10.0, system="system2", frame_gap=0.1))
    watch.add(make_report(11.1))
    assert "input report of System 2 too old (1.10 s)" in told(watch, 11.1)


def test_outcomes_are_graded(profile, make_report):
    """Slow from one value on, hold from another."""
    thresholds = profile.thresholds.model_copy(update={"image_age_s": Threshold(slow=0.2, hold=0.4)})
    watch = ReportWatch(profile.model_copy(update={"thresholds": thresholds}))
    watch.add(make_report(10.0, **GOOD | {"image_age": 0.3}))
    (slow,) = watch.problems(seconds_to_ns(10.0))
    assert slow.outcome is Outcome.SLOW
    assert "limit 0.2 s" in slow.text
    (hold,) = watch.problems(seconds_to_ns(10.2))
    assert hold.outcome is Outcome.HOLD
    assert "limit 0.4 s" in hold.text


def test_older_reports_do_not_replace_newer_ones_and_the_future_holds(watch, make_report):
    """Stamps decide; a report from another clock is no report."""
    watch.add(make_report(10.0))
    watch.add(make_report(9.9, **GOOD | {"image_dark": 9.0}))
    assert told(watch, 10.0) == ""
    watch.add(make_report(12.0))
    assert "input report of System 1 stamped 2.00 s in the future" in told(watch, 10.0)


@pytest.mark.parametrize(
    ("check", "stamp_s", "words"),
    [
        ("clock_ahead", 10.35, "System 2's clock is 0.35 s ahead of this machine's (limit 0.05 s)"),
        ("clock_behind", 9.65, "System 2's clock is 0.35 s behind this machine's (limit 0.05 s)"),
    ],
)
def test_clocks_that_lie_apart_hold_with_one_line(watch, make_report, check, stamp_s, words):
    """Offset, limit, direction and remedy; nothing else of that report means anything then. It recovers."""
    watch.add(make_report(10.0))
    watch.add(make_report(stamp_s, system="system2", frame_gap=9.0, **{check: 0.35}))
    (problem,) = watch.problems(seconds_to_ns(10.0))
    assert problem.outcome is Outcome.HOLD
    assert problem.text.startswith(
        f"{words}; synchronise the clocks by chrony or PTP, see docs/two_machines.md"
    )
    assert "with use_sim_time look at the publisher of /clock" in problem.text
    watch.add(make_report(10.4, system="system2", frame_gap=0.1))
    watch.add(make_report(10.4))
    assert told(watch, 10.4) == ""


def test_a_small_offset_is_borne(watch, make_report):
    """The profile's threshold decides; its default suits profiles that do not name it."""
    watch.add(make_report(10.0))
    watch.add(make_report(10.0, system="system2", frame_gap=0.1, clock_ahead=0.04))
    assert told(watch, 10.0) == ""


def test_a_clock_that_nobody_compared_is_not_trusted(watch, make_report):
    """Neither one that is not compared yet nor one whose system never compares it."""
    watch.add(make_report(10.0))
    watch.add(make_report(10.0, system="system2", frame_gap=0.1, clock_ahead=None, clock_behind=None))
    assert "System 2's clock is not compared with this machine's yet" in told(watch, 10.0)
    watch.add(InputReport(seconds_to_ns(10.1), "system2", ()))
    assert "System 2 does not compare its clock; run one version" in told(watch, 10.1)


def test_latents_of_a_system2_that_never_reported_are_not_trusted(watch, make_report):
    """A policy without latents needs no System 2."""
    watch.add(make_report(10.0))
    assert told(watch, 10.0) == ""
    (problem,) = watch.problems(seconds_to_ns(10.0), with_latents=True)
    assert problem.text == "no input report of System 2 yet; check System 2 and the network"


def test_reports_of_a_clock_that_was_set_back_count_again(watch, make_report):
    """An hour ahead, then synchronised: the arm must not wait for an hour."""
    watch.add(make_report(10.0))
    watch.add(make_report(3610.0, system="system2", clock_ahead=3600.0))
    assert "3600.00 s ahead" in told(watch, 10.0)
    watch.add(make_report(10.1, system="system2", frame_gap=0.1))
    assert told(watch, 10.1) == ""


def test_reports_of_unknown_systems_are_refused(watch, make_report):
    """They would hold the arm for good once nobody sends them any more."""
    watch.add(make_report(10.0))
    with pytest.raises(InputError, match="unknown system 'system3' refused; known are system1, system2"):
        watch.add(make_report(10.0, system="system3", frame_gap=99.0))
    assert told(watch, 10.0) == ""


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (
            1796058648.7,
            "stamped 56.9 years ago, by another clock; let the camera driver stamp with the system's clock",
        ),
        (-3.5e8, "stamped 11.1 years in the future, by another clock"),
        (-12.0, "stamped 12.00 s in the future; synchronise the camera driver's clock"),
    ],
)
def test_images_of_another_clock_are_told_as_such(watch, make_report, age_s, words):
    """No dead camera is looked for, and a stamp from the future is never a fresh image."""
    watch.add(make_report(10.0, **GOOD | {"image_age": age_s}))
    (problem,) = watch.problems(seconds_to_ns(10.0))
    assert problem.text.startswith(f"camera image of cam_high {words}")
    assert problem.outcome is Outcome.HOLD


def test_a_camera_whose_clock_lags_is_told_from_one_that_died(watch, make_report):
    """Images that come with stamps of two hours ago, and images that come no more."""
    for step in range(20):
        watch.add(make_report(10.0 + 0.05 * step, **GOOD | {"image_age": 7200.0 + 0.01 * (step % 2)}))
    assert told(watch, 10.95).startswith(
        "camera image of cam_high stamped 2.0 hours ago although images come"
    )
    for step in range(60):
        watch.add(make_report(11.0 + 0.05 * step, **GOOD | {"image_age": 7200.0 + 0.05 * step}))
    assert told(watch, 13.95).startswith("camera image of cam_high too old (7202.95 s, limit 0.3 s)")


def test_a_report_of_another_clock_is_told_as_such(watch, make_report):
    """Where the comparison of clocks has not found it."""
    watch.add(make_report(10.0))
    assert "input report of System 1 stamped 57.0 years ago, by another clock" in told(watch, 1.8e9)


def test_another_format_of_images_is_named(watch, make_report):
    """Size or encoding changed in mid-stream: who to look for, and how to accept it."""
    watch.add(make_report(10.0, **GOOD | {"image_format": 0.4}))
    words = "images of cam_high have had another size or encoding than before (0.40 s, limit 0.3 s); check that one"
    assert told(watch, 10.0).startswith(words)
    assert "begin a new episode where the change is meant" in told(watch, 10.0)


def test_images_that_are_none_of_now_forbid_whatever_begins(watch, make_report):
    """Also a motion that looks at no image; but not what a system said before it fell silent, nor a late camera."""
    now_ns = seconds_to_ns(10.0)
    watch.add(make_report(10.0, **GOOD | {"image_age": 0.6}))
    assert watch.implausible(now_ns) == ()
    watch.add(make_report(10.0, **GOOD | {"image_age": 1.8e9, "image_format": 0.5}))
    clock, layout = watch.implausible(now_ns)
    assert "by another clock" in clock
    assert "another size or encoding" in layout
    assert {clock, layout} <= {problem.text for problem in watch.problems(now_ns)}
    assert watch.implausible(seconds_to_ns(11.1)) == ()


@pytest.mark.parametrize("check", ["image_frozen", "image_dark"])
def test_a_bad_image_counts_on_until_the_next_report(watch, make_report, check):
    """It is noticed when its time is up, not when the next report comes; a silent system's is not made up."""
    watch.add(make_report(10.0, **GOOD | {check: 0.45}))
    assert told(watch, 10.04) == ""
    assert "(0.51 s, limit 0.5 s)" in told(watch, 10.06)
    watch.add(make_report(10.1, **GOOD | {check: 0.35}))
    assert told(watch, 10.3) == ""
    watch.add(make_report(10.3))
    assert told(watch, 10.5) == ""


def test_a_system_that_reports_at_a_fraction_of_its_rate_holds(watch, make_report):
    """Every report is young enough; their number tells that System 1 gets a tenth of its time. It recovers."""
    stamps = [*np.arange(10.0, 11.0, REPORT_PERIOD_S), *np.arange(11.0, 12.0, 0.2)]
    for stamp_s in stamps:
        watch.add(make_report(stamp_s))
    (problem,) = watch.problems(seconds_to_ns(11.9))
    assert problem.outcome is Outcome.HOLD
    assert problem.text.startswith(
        "System 1 is short of time (4 of 15 input reports in 0.75 s); check what else"
    )
    for stamp_s in np.arange(12.0, 13.0, REPORT_PERIOD_S):
        watch.add(make_report(stamp_s))
    assert told(watch, 13.0) == ""


def test_a_restarted_or_late_system_is_not_short_of_time(watch, make_report):
    """Neither before a window has passed, nor after a silence, nor where reports come in bursts."""
    watch.add(make_report(10.0))
    watch.add(make_report(20.0))
    assert told(watch, 20.0) == ""
    for stamp_s in np.arange(20.05, 21.0, REPORT_PERIOD_S):
        watch.add(make_report(stamp_s))
        assert told(watch, stamp_s + 0.2) == ""


def test_a_step_of_the_clock_leaves_no_system_short_of_time(watch, make_report):
    """Nothing is compared across it."""
    for stamp_s in np.arange(10.0, 11.0, REPORT_PERIOD_S):
        watch.add(make_report(stamp_s))
    watch.clear()
    watch.add(make_report(12.5))
    assert told(watch, 12.5) == ""


def test_a_system_that_watches_no_camera_may_report_seldom(watch, make_report):
    """System 2 is graded by the age of its latents and the gaps in its frames."""
    for stamp_s in np.arange(10.0, 12.0, 0.2):
        watch.add(make_report(stamp_s, system="system2", frame_gap=0.1))
    watch.add(make_report(11.9))
    assert told(watch, 11.9) == ""
