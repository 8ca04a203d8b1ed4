"""The recorder: every topic into a bag, or the last seconds into memory, in a process of its own."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from rcl_interfaces.msg import ParameterEvent
from std_srvs.srv import Trigger

from video2act_msgs.srv import SetRecording
from video2act_ros.core.config import RecorderConfig
from video2act_ros.core.confined import is_inside
from video2act_ros.core.errors import BagError, Video2ActError
from video2act_ros.core.robot_profile import load_robot_profile
from video2act_ros.recording.writing.bag_records import RecordedMessage, RecordedTopic
from video2act_ros.recording.writing.bag_writer import version_of
from video2act_ros.recording.writing.ring import PARAMETER_EVENTS
from video2act_ros.recording.writing.session import RecordingSession, SessionSettings
from video2act_ros.recording.writing.topic_choice import TopicChoice
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.environment import resolve_profile
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.parameter_event import PARAMETER_EVENT, parameter_event_bytes
from video2act_ros.ros.parameter_states import ParameterStates
from video2act_ros.ros.process import run_node
from video2act_ros.ros.raw_topics import RawTopics
from video2act_ros.ros.run_marks import RunMarks

SCAN_S = 0.2
"""Between two looks for new topics and nodes."""

NICENESS = 10
"""Of the whole process: whoever drives the arm or computes comes first."""

NO_BAG = ("", "standby")
NAMED_BY_TIME = "true"

_LOST = "video2act.lost"
_FAILED = "video2act.failed"

_STANDS = "the thread that {does} ended without a word (see the log): nothing is recorded any more; restart /recorder"


class RecorderNode(ManagedNode):
    """Records all topics of the graph as they are. Its failures end a bag, never the node or the stack."""

    CONFIG = RecorderConfig
    config: RecorderConfig

    def setup(self) -> None:
        """Check what can be checked before anything runs."""
        self._profile_path = resolve_profile(self.config.robot)
        self._profile = load_robot_profile(self._profile_path)
        config = self.config
        self._choice = TopicChoice.of(config.topics, config.exclude, jpeg=config.images == "jpeg")

    def start(self) -> None:
        """Listen to every topic; begin the bag that was asked for."""
        config = self.config
        settings = SessionSettings(
            config.jpeg_quality if config.images == "jpeg" else None,
            config.compression,
            config.queue_mb << 20,
            config.min_free_mb << 20,
            config.ring_s,
            config.ring_mb << 20,
        )
        self._session = RecordingSession(settings, self._about, self._ended_early)
        self._marks = RunMarks(self, self._session.note, self._on_fault)
        self._parameter_states = ParameterStates(self, self._on_parameters)
        self._raw = RawTopics(self, config.depth, self._choice.wants, self._receive, self.report_problem)
        if config.bag not in NO_BAG:
            with self.reporting("recording"):
                self._begin_bag("" if config.bag == NAMED_BY_TIME else config.bag)
        self._raw.start()
        self.create_service(SetRecording, "record", self._on_record)
        self.create_service(Trigger, "save_recording", self._on_save)
        self.create_timer(SCAN_S, self._scan)

    def stop(self) -> None:
        """End the bag; what waits is written first."""
        if raw := getattr(self, "_raw", None):
            raw.stop()
        if session := getattr(self, "_session", None):
            bag = session.bag
            session.stop(self._last_notes())
            if bag is not None:
                self.get_logger().info(f"recorded {bag.messages} messages in {bag.folder}")

    # -- what is recorded ---------------------------------------------------------------------------

    def _receive(self, message: RecordedMessage) -> None:
        """Keep one message; in the thread of the topics."""
        self._session.take(message)
        with self.reporting(message.topic.name):
            self._marks.see(message)

    def _scan(self) -> None:
        with self.reporting("topics"):
            self._raw.scan()
        with self.reporting("parameters"):
            self._parameter_states.scan()

    def _on_parameters(self, event: ParameterEvent) -> None:
        """Keep all parameters of one node, as an event that nobody published."""
        now_ns = time.time_ns()
        topic = RecordedTopic(PARAMETER_EVENTS, PARAMETER_EVENT)
        data = parameter_event_bytes(event)
        self._session.take(RecordedMessage(topic, now_ns, now_ns, data, state_of=event.node.encode()))

    def _about(self) -> dict[str, str]:
        """Return the record `video2act` of a bag."""
        bundles = {f"{system}_bundle": status for system, status in self._marks.bundles.items()}
        return {
            "version": version_of("video2act_ros"),
            "robot": self._profile.name,
            "robot_profile": self._profile_path.read_text(),
            "namespace": self.get_namespace(),
            "images": self.config.images,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "torch": version_of("torch"),
            "onnxruntime": version_of("onnxruntime"),
            "numpy": version_of("numpy"),
            **bundles,
        }

    def _last_notes(self) -> dict[str, dict[str, str]]:
        counts = {_LOST: self._raw.lost, _FAILED: self._raw.failed}
        notes = {
            name: {topic: str(count) for topic, count in found.items()} for name, found in counts.items()
        }
        return {name: fields for name, fields in notes.items() if fields}

    # -- beginning and ending -----------------------------------------------------------------------

    def _begin_bag(self, directory: str) -> Path:
        folder = Path(directory).expanduser() if directory else self._new_folder("")
        self._raw.lost.clear()
        self._raw.failed.clear()
        try:
            self._session.begin(folder)
        except BagError as error:
            if self._session.bag is None:
                self.health.problem("recording", str(error))
            raise
        self._parameter_states.forget()  # every node is asked again, for this bag
        self.health.resolve("recording")
        self.get_logger().info(f"recording to {folder}")
        return folder

    def _inside(self, directory: str) -> str:
        """Return the folder that a peer asks for: inside of `folder`, relative to it or to here.

        Raises:
            BagError: it lies elsewhere.
        """
        mine, path = Path(self.config.folder).expanduser(), Path(directory).expanduser()
        for candidate in (path, mine / path):
            if not directory or is_inside(candidate, [mine]):
                return str(candidate) if directory else ""
        raise BagError(
            f"{directory} lies outside of {mine.absolute()}, where bags begun by the service belong; name a folder "
            "inside of it, or start the recorder with another `folder`"
        )

    def _new_folder(self, suffix: str) -> Path:
        name = time.strftime("%Y-%m-%d_%H-%M-%S") + suffix
        folder = Path(self.config.folder).expanduser() / name
        number = 2
        while folder.exists():
            folder = folder.with_name(f"{name}_{number}")
            number += 1
        return folder

    def _ended_early(self, error: BagError) -> None:
        """Tell why a bag ended, until another one begins; in the bag's thread."""
        self.health.problem("recording", str(error))
        self.get_logger().error(str(error))

    def _on_record(
        self, request: SetRecording.Request, response: SetRecording.Response
    ) -> SetRecording.Response:
        try:
            if request.record:
                folder = self._begin_bag(self._inside(request.directory))
                response.message = f"recording to {folder}"
            else:
                folder = self._session.end(self._last_notes())
                response.message = f"recorded {folder}"
            response.success, response.directory = True, str(folder.absolute())
        except Video2ActError as error:
            response.success, response.message = False, str(error)
        return response

    # -- the ring buffer ----------------------------------------------------------------------------

    def _on_fault(self, reason: str) -> None:
        """Save the last seconds; in the thread of the topics."""
        if self._session.ring is not None:
            self.get_logger().warning(f"fault ({reason}): saving the ring buffer")
            self._save_ring("_fault")

    def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = self._save_ring("_saved")
            response.success = True
        except Video2ActError as error:
            response.message = str(error)
        return response

    def _save_ring(self, suffix: str) -> str:
        folder = self._new_folder(suffix)

        def done(error: BagError | None) -> None:
            if error is not None:
                self.report_problem("ring", error)
            else:
                self.get_logger().info(f"saved the ring buffer in {folder}")

        count = self._session.save_ring(folder, done)
        return f"writing {count} messages to {folder.absolute()}"

    # -- health -------------------------------------------------------------------------------------

    @property
    def may_end(self) -> bool:
        """Only once no command node tells its state any more: the bag shows how the arm came to rest."""
        return self.state_name != "active" or not self.count_publishers("run_state")

    def collect_diagnostics(self) -> None:
        """Tell what is recorded, what waits, and what was lost."""
        if self.state_name != "active":
            return
        bag, ring = self._session.bag, self._session.ring
        self.health.value("bag", str(bag.folder) if bag is not None else "none")
        self.health.value("topics", len(self._raw.topics))
        if bag is not None:
            self.health.value("messages", bag.messages)
            self.health.value("mb_written", bag.bytes_written / (1 << 20))
            self.health.value("mb_waiting", bag.waiting_bytes / (1 << 20))
        if ring is not None:
            self.health.value("ring_mb", ring.bytes / (1 << 20))
        lost, dropped = sum(self._raw.lost.values()), self._session.dropped
        self._tell("dropped", dropped, "messages were dropped because the disk is too slow; use images:=jpeg")
        self._tell(
            "lost", lost, "messages were lost before they reached the recorder; check the machine's load"
        )
        refused = bag.refused if bag is not None else {}
        unknown = {*self._raw.unavailable.values(), *(f"{name}: {why}" for name, why in refused.items())}
        self._tell("unknown_types", len(unknown), f"topics are not recorded: {'; '.join(sorted(unknown))}")
        self._tell_unusual()
        self._watch_threads()

    def _tell_unusual(self) -> None:
        """Tell of messages that were kept otherwise than wanted, or not at all."""
        failed = {**self._raw.failed}
        for name, (count, _) in self._session.not_kept.items():
            failed[name] = failed.get(name, 0) + count
        self._tell("failed", sum(failed.values()), f"messages were not kept, of {', '.join(sorted(failed))}")
        raw = self._session.kept_raw
        reasons = "; ".join(f"{name}: {why}" for name, (_, why) in sorted(raw.items()))
        count = sum(count for count, _ in raw.values())
        self._tell("kept_raw", count, f"images were kept as they came instead of as JPEG: {reasons}")

    def _watch_threads(self) -> None:
        """Tell of a thread that ended without having told so itself."""
        bag = self._session.bag
        threads = {
            "takes messages": self._raw.stands,
            "writes the bag": bag is not None and bag.stands,
        }
        for does, stands in threads.items():
            if stands:
                self.health.problem(does, _STANDS.format(does=does))
            else:
                self.health.resolve(does)

    def _tell(self, name: str, count: int, words: str) -> None:
        self.health.value(name, count)
        if count:
            self.health.problem(name, f"{count} {words}", Level.WARN)
        else:
            self.health.resolve(name)


def main() -> None:
    """Run the node as a process that lets others go first."""
    os.nice(NICENESS)
    raise SystemExit(run_node(RecorderNode))


if __name__ == "__main__":
    main()
