"""What the systems report of their inputs and clocks, judged: late, frozen or dark cameras, gaps, clocks apart."""

from __future__ import annotations

from collections.abc import Iterator

from video2act_ros.control.problem import Problem, graded
from video2act_ros.control.report_pace import USUAL, WINDOW_S, ReportPace
from video2act_ros.core.errors import InputError
from video2act_ros.core.input_report import REPORT_PERIOD_S, InputCheck, InputReport, InputValue
from video2act_ros.core.other_clock import (
    FUTURE_TOLERANCE_S,
    duration_words,
    is_other_clock,
    other_clock_words,
)
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.thresholds import Outcome, Threshold
from video2act_ros.core.types import NS_PER_S, seconds_to_ns

_SYSTEMS = {"system1": "System 1", "system2": "System 2"}
_SYNCHRONISE = (
    "synchronise the clocks by chrony or PTP, see docs/two_machines.md; with use_sim_time look at the publisher "
    "of /clock, which then comes late or at different times to different nodes"
)
_TEXTS = {
    InputCheck.IMAGE_AGE: "camera image of {camera} too old ({value:.2f} s, limit {limit:g} s); "
    "check the camera driver",
    InputCheck.IMAGE_FROZEN: "image of {camera} frozen while joints move ({value:.2f} s, limit {limit:g} s); "
    "check the camera driver",
    InputCheck.IMAGE_DARK: "image of {camera} dark ({value:.2f} s, limit {limit:g} s); "
    "check the lens and the lighting",
    InputCheck.IMAGE_FORMAT: "images of {camera} have had another size or encoding than before "
    "({value:.2f} s, limit {limit:g} s); check that one camera driver alone publishes, and begin a new episode "
    "where the change is meant",
    InputCheck.FRAME_GAP: "gap in System 2's frames of {camera} ({value:.2f} s, limit {limit:g} s); "
    "check the camera driver and the network",
    InputCheck.CLOCK_AHEAD: "{system}'s clock is {value:.2f} s ahead of this machine's (limit {limit:g} s); "
    + _SYNCHRONISE,
    InputCheck.CLOCK_BEHIND: "{system}'s clock is {value:.2f} s behind this machine's (limit {limit:g} s); "
    + _SYNCHRONISE,
}
_CLOCK = (InputCheck.CLOCK_AHEAD, InputCheck.CLOCK_BEHIND)
_LATE_S = 3.0  # images that come but are stamped so long ago are not late, their clock is
_COMING_S = 1.0  # another image came by then: the camera's images arrive
_SAME_IMAGE_NS = 1_000_000  # ages are told in float seconds: stamps reckoned from them differ by less
_LASTING = (InputCheck.IMAGE_FROZEN, InputCheck.IMAGE_DARK, InputCheck.IMAGE_FORMAT)
_NEXT_REPORT_S = 2.0 * REPORT_PERIOD_S  # until then a frozen or dark image counts on
_SET_BACK_S = 1.0  # reports do not overtake each other by that much: the system's clock was set back


class ReportWatch:
    """Keeps each system's newest input report and judges it by the robot profile's thresholds.

    Images have grown older since a report was made by the report's own age, which is added: reports that
    stop coming keep no good value. So have frozen and dark ones, as long as the next report may be on its way.
    A system that watches cameras and reports at a fraction of its rate is short of time and holds. Every camera
    of the profile must be in one, and of every report the clock must be known: nothing that it says can be
    compared with another clock's stamps. Not thread-safe.
    """

    def __init__(self, profile: RobotProfile) -> None:
        self._cameras = profile.camera_names
        self._topics = {camera.name: camera.topic for camera in profile.cameras}
        limits = profile.thresholds
        self._thresholds: dict[InputCheck, Threshold] = {
            check: getattr(limits, check.threshold) for check in InputCheck
        }
        self._reports: dict[str, InputReport] = {}
        self._came_ns: dict[
            str, int
        ] = {}  # cameras by the newest report that told of another image than before
        self._paces: dict[str, ReportPace] = {}

    def add(self, report: InputReport) -> None:
        """Take a report; of each system the newest stamp counts, unless its clock was set back.

        Raises:
            InputError: nobody knows the system; what it says would hold the arm for good once it falls silent.
        """
        if report.system not in _SYSTEMS:
            raise InputError(
                f"input report of an unknown system '{report.system}' refused; known are {', '.join(_SYSTEMS)}: stop "
                "its publisher, or run one version of this package on every machine"
            )
        known = self._reports.get(report.system)
        self._watch_arrivals(known, report)
        since_ns = 0 if known is None else report.stamp_ns - known.stamp_ns
        if since_ns >= 0 or since_ns < -_SET_BACK_S * NS_PER_S:
            self._reports[report.system] = report
            self._paces.setdefault(report.system, ReportPace()).add(report.stamp_ns)

    def _watch_arrivals(self, known: InputReport | None, report: InputReport) -> None:
        """Note of which cameras the newest image is another one than in the system's report before."""
        before = {} if known is None else _newest_images(known)
        for camera, stamp_ns in _newest_images(report).items():
            if camera in before and abs(stamp_ns - before[camera]) > _SAME_IMAGE_NS:
                self._came_ns[camera] = report.stamp_ns

    def clear(self) -> None:
        """Forget every report."""
        self._reports.clear()
        self._came_ns.clear()
        self._paces.clear()

    def problems(self, now_ns: int, with_latents: bool = False) -> Iterator[Problem]:
        """Yield what is wrong with the systems' inputs and clocks at `now_ns`; System 2 counts where its latents do."""
        watched: set[str] = set()
        for report in self._reports.values():
            watched.update(row.camera for row in report.values if row.check is InputCheck.IMAGE_AGE)
            yield from self._judge(report, (now_ns - report.stamp_ns) / NS_PER_S)
        if missing := [camera for camera in self._cameras if camera not in watched]:
            yield Problem(Outcome.HOLD, f"no input report on {', '.join(missing)} yet; check System 1")
        if with_latents and "system2" not in self._reports:
            yield Problem(Outcome.HOLD, "no input report of System 2 yet; check System 2 and the network")

    def implausible(self, now_ns: int) -> tuple[str, ...]:
        """Return what makes images no images of now, in words: stamps of another clock, a format that changed.

        Nothing begins beside them, whether it looks at images or not. Only reports of the last second count.
        """
        texts: list[str] = []
        for report in self._reports.values():
            if abs(now_ns - report.stamp_ns) > seconds_to_ns(_COMING_S):
                continue
            for row in report.values:
                if row.check is InputCheck.IMAGE_AGE and row.value_s is not None:
                    words = self._wrong_stamp(row, report.stamp_ns)
                    texts += [] if words is None else [words]
                elif row.check is InputCheck.IMAGE_FORMAT:
                    problem = self._judge_row(row, report.stamp_ns, 0.0, None)
                    texts += [] if problem is None else [problem.text]
        return tuple(texts)

    def _wrong_stamp(self, row: InputValue, stamp_ns: int) -> str | None:
        """Return what is wrong with the capture stamps behind an image age in the report made at `stamp_ns`."""
        since_ns = stamp_ns - self._came_ns.get(row.camera, 0)
        coming = 0 <= since_ns <= seconds_to_ns(_COMING_S)
        return None if row.value_s is None else _wrong_stamp(row.camera, row.value_s, coming=coming)

    def _judge(self, report: InputReport, age_s: float) -> Iterator[Problem]:
        system = _SYSTEMS.get(report.system, report.system)
        clock = tuple(self._clock(report, system))
        yield from clock
        if any(problem.outcome is not Outcome.SLOW for problem in clock):
            return
        if is_other_clock(age_s):
            yield Problem(Outcome.HOLD, f"input report of {system} {other_clock_words(age_s, system)}")
            return
        if age_s < -FUTURE_TOLERANCE_S:
            text = f"input report of {system} stamped {-age_s:.2f} s in the future; synchronise the clocks"
            yield Problem(Outcome.HOLD, text)
            return
        silence = self._silence(report, age_s, system)
        if silence is not None:
            yield silence
        pace = self._paces[report.system]
        if pace.starved and any(row.check is InputCheck.IMAGE_AGE for row in report.values):
            text = f"{system} is short of time ({pace.recent} of {USUAL} input reports in {WINDOW_S:g} s)"
            yield Problem(Outcome.HOLD, f"{text}; check what else runs on its machine")
        for row in report.values:
            if (problem := self._judge_row(row, report.stamp_ns, age_s, silence)) is not None:
                yield problem

    def _clock(self, report: InputReport, system: str) -> Iterator[Problem]:
        """Yield what is wrong with a system's clock."""
        rows = {row.check: row.value_s for row in report.values if row.check in _CLOCK}
        if len(rows) < len(_CLOCK):
            text = f"{system} does not compare its clock; run one version of this package on every machine"
            yield Problem(Outcome.HOLD, text)
        elif None in rows.values():
            text = (
                f"{system}'s clock is not compared with this machine's yet, or too slowly to tell; "
                "wait a few seconds, then check the network and this machine's load"
            )
            yield Problem(Outcome.HOLD, text)
        for check, value_s in rows.items():
            if value_s is not None:
                problem = graded(self._thresholds[check], value_s, _TEXTS[check], system=system)
                if problem is not None:
                    yield problem

    def _silence(self, report: InputReport, age_s: float, system: str) -> Problem | None:
        """Return what it means that the newest report of a system is `age_s` old.

        Its images may be older by that; where it reports only frames, it counts like a gap in them.
        """
        ages = [row.value_s for row in report.values if row.check is InputCheck.IMAGE_AGE]
        oldest_s = max((value_s for value_s in ages if value_s is not None), default=0.0)
        text = "input report of {system} too old ({age:.2f} s); check {system}"
        if ages:
            # Only where silence is the greater part of the images' age; else the camera is to blame.
            judged_s = oldest_s + age_s if age_s > oldest_s else 0.0
            return graded(self._thresholds[InputCheck.IMAGE_AGE], judged_s, text, system=system, age=age_s)
        if age_s <= self._thresholds[InputCheck.FRAME_GAP].stop:
            return None
        return Problem(Outcome.HOLD, text.format(system=system, age=age_s))

    def _judge_row(
        self, row: InputValue, stamp_ns: int, age_s: float, silence: Problem | None
    ) -> Problem | None:
        """Judge one row of the report made at `stamp_ns`, `age_s` ago."""
        value_s = row.value_s
        if row.check is InputCheck.IMAGE_AGE:
            if value_s is None:
                where = f" on {self._topics[row.camera]}" if row.camera in self._topics else ""
                return Problem(
                    Outcome.HOLD, f"no camera image of {row.camera} yet; check the camera driver{where}"
                )
            if (words := self._wrong_stamp(row, stamp_ns)) is not None:
                return Problem(Outcome.HOLD, words)
            if silence is None:
                value_s += age_s
        elif row.check in _LASTING and value_s:
            value_s += min(max(age_s, 0.0), _NEXT_REPORT_S)
        if value_s is None or row.check in _CLOCK:
            return None
        return graded(self._thresholds[row.check], value_s, _TEXTS[row.check], camera=row.camera)


def _wrong_stamp(camera: str, age_s: float, *, coming: bool) -> str | None:
    """Return what is wrong with a camera's capture stamps; None: nothing. `coming`: its images do arrive."""
    name = f"camera image of {camera}"
    if is_other_clock(age_s):
        return f"{name} {other_clock_words(age_s, 'the camera driver')}"
    if age_s < -FUTURE_TOLERANCE_S:
        return f"{name} stamped {duration_words(-age_s)} in the future; synchronise the camera driver's clock"
    if age_s > _LATE_S and coming:
        return (
            f"{name} stamped {duration_words(age_s)} ago although images come; synchronise the camera driver's "
            "clock, or find what delays them"
        )
    return None


def _newest_images(report: InputReport) -> dict[str, int]:
    """Return the stamp [ns] of each camera's newest image, as far as the report knows one."""
    return {
        row.camera: report.stamp_ns - seconds_to_ns(row.value_s)
        for row in report.values
        if row.check is InputCheck.IMAGE_AGE and row.value_s is not None
    }
