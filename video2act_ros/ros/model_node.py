"""What System 1 and System 2 share: a model with one worker, the run context, the instruction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from std_msgs.msg import String

from video2act_msgs.msg import RunState
from video2act_ros.core.config import ModelConfig, NodeConfig
from video2act_ros.core.errors import InstructionError, ModelError, Video2ActError
from video2act_ros.core.instructions import choose_instruction
from video2act_ros.core.lasting_failure import LastingFailure
from video2act_ros.core.memory import return_free_memory
from video2act_ros.core.model_swap import Candidate
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S, is_other_clock, other_clock_words
from video2act_ros.core.robot_profile import Camera, RobotProfile, load_robot_profile
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import NS_PER_S
from video2act_ros.core.worker import Worker
from video2act_ros.ros import params, qos
from video2act_ros.ros.bundle_switch import ACTIVE_BUNDLE, BundleSwitch
from video2act_ros.ros.convert_policy import run_context_from_message
from video2act_ros.ros.environment import resolve_bundle, resolve_bundle_within, resolve_profile
from video2act_ros.ros.inputs import camera_remedy, now_ns
from video2act_ros.ros.lifecycle import ManagedNode

if TYPE_CHECKING:
    from video2act_ros.bundles.load import LoadedEncoder, LoadedPolicy
    from video2act_ros.bundles.manifest import Manifest

_STOP_S = 1.0
_SILENT_S = 1.0  # without a run state, of which ten come each second
_DEAF_S = 20.0  # without a first run state although somebody publishes it; discovery takes up to ten

Model = TypeVar("Model", bound="LoadedPolicy | LoadedEncoder")


class ModelNode(ManagedNode, Generic[Model]):
    """Loads a bundle's model at configuration; a worker, which alone uses it, runs while active.

    Setting `bundle` while active loads that bundle beside the running one; the worker changes over between
    two steps, and `active_bundle` follows.

    The instruction in force is the run state's; while that names none, the `instruction` parameter's, or
    the bundle's first. Setting the parameter at run time publishes the wish on `instruction`: the command
    node, which owns the epoch, grants it in the run state.
    """

    config: ModelConfig
    RESTARTS: ClassVar[bool] = True
    SYSTEM: ClassVar[str] = ""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(**node_arguments)
        # Whoever starts the node says where bundles lie; any peer may set a parameter later.
        given = [self.config.bundle, *self.config.bundle_folders.split(":")]
        self._bundle_folders = [Path(name).expanduser() for name in given if name]
        params.declare_told(self, ACTIVE_BUNDLE, "the bundle that runs: its name and its manifest's hash")
        self.add_on_set_parameters_callback(self._check_again)
        self.add_post_set_parameters_callback(self._follow_bundle)

    def load_model(self, folder: Path) -> Model:
        """Load and test a bundle's model; in any thread."""
        raise NotImplementedError

    def check_fit(self, manifest: Manifest, bundle: str) -> None:
        """Raise a Video2ActError unless the bundle fits the robot and the running inputs; in any thread."""
        raise NotImplementedError

    def use(self, model: Model) -> None:
        """Use `model` from now on; called in `setup`, then in the worker's thread between two steps.

        One that cannot be used raises before anything of the present one has changed.
        """
        self.known_instructions, self.model = model.manifest.instructions, model

    def model_changed(self) -> None:
        """Tell others of another model; in the executor's thread."""

    def step(self) -> bool:
        """Do one unit of work in the worker's thread; return whether there was something to do.

        It takes `self.model` and `self.run_context` once, at its begin, and publishes nothing once the worker is
        `stopping`.
        """
        raise NotImplementedError

    def context_changed(self, previous: RunContext) -> None:
        """Act on a new epoch, episode or instruction before the worker sees it."""

    def setup(self) -> None:
        """Load and test the model."""
        self.check_alone()
        import torch  # takes seconds: only once the node can be stopped

        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        self.profile: RobotProfile = load_robot_profile(resolve_profile(self.config.robot))
        first = self._load(self.config.bundle)
        self.use(first.model)
        self.choose_instruction(self.config.instruction)
        self._wish = self.create_publisher(String, "instruction", qos.DATA)
        self.switch = BundleSwitch(
            self,
            self.SYSTEM,
            first,
            self._load,
            self._identify,
            lambda: self.worker.wake(),
            self.model_changed,
        )

    def start(self) -> None:
        """Begin to follow the run state and to work; refused while an earlier step has not ended."""
        self.check_alone()
        self.run_context = RunContext()
        self._heard_s = time.monotonic()  # of the newest run state; until the first one, the start
        self._deaf_since_s: float | None = time.monotonic()  # None once a run state was heard
        self._failures = LastingFailure()
        self._lost: str | None = None  # why only another process can compute again
        self.worker = Worker("model", self._work, self.config.rate_hz, self._on_error)
        self.worker.start()
        self.switch.start()
        self.subscribe(RunState, "run_state", self._on_run_state, qos.LATCHED)

    @property
    def exit_status(self) -> int | None:
        """1 where only a new process can help: its device is lost, every step fails, or it hears no run state.

        Never with the command node in this process: it owns the arm, and nobody starts it again.
        """
        if self.state_name != "active" or self.companions():
            return None
        return 1 if self._lost is not None or self._deaf else None

    @property
    def _deaf(self) -> bool:
        """Whether somebody publishes run states for so long and none has ever come."""
        return self._deaf_since_s is not None and time.monotonic() - self._deaf_since_s > _DEAF_S

    def stop(self) -> None:
        """End the worker after its present step."""
        if hasattr(self, "switch"):
            self.switch.stop()
        if hasattr(self, "worker") and not self.worker.stop(_STOP_S):
            self.get_logger().warning(f"the model's step did not end within {_STOP_S:g} s")

    def check_alone(self) -> None:
        """Raise ModelError while a step of an earlier activation is still running: one thread owns the model."""
        worker: Worker | None = getattr(self, "worker", None)
        if worker is not None and worker.alive:
            raise ModelError(
                "the model's step from before deactivation has not ended yet; try again when it has, or restart "
                "this process"
            )

    def teardown(self) -> None:
        """Release the model."""
        self.known_instructions = ()
        if hasattr(self, "switch"):
            self.switch.teardown()
        for name in ("model", "switch"):
            self.__dict__.pop(name, None)

    def choose_instruction(self, wanted: str) -> str:
        """Return `wanted`, or the bundle's first instruction when empty.

        Raises:
            InstructionError: the bundle does not know it; lists those it knows.
        """
        return choose_instruction(self.known_instructions, wanted)

    def instruction_for(self, context: RunContext) -> str:
        """Return the instruction in force."""
        return self.choose_instruction(context.instruction or self.config.instruction)

    def check_config(self, config: NodeConfig) -> None:
        """Refuse a bundle from elsewhere or that cannot run here, or an instruction that the bundle does not know."""
        # What runs may be set back to although its folder is gone by now.
        running = self.switch.name if hasattr(self, "switch") else self.config.bundle
        if isinstance(config, ModelConfig) and config.bundle not in (self.config.bundle, running):
            resolve_bundle_within(config.bundle, self._bundle_folders)
        if self.state_name not in ("inactive", "active") or not isinstance(config, ModelConfig):
            return
        if config.bundle not in (self.config.bundle, self.switch.name):
            self._check_bundle(config.bundle)
        # A swap may have left an instruction that only the run state overrules.
        if config.instruction != self.config.instruction:
            self.choose_instruction(config.instruction)

    def config_changed(self, previous: NodeConfig) -> None:
        """Ask the command node for another instruction, or for the new bundle's."""
        if self.state_name not in ("inactive", "active") or not isinstance(previous, ModelConfig):
            return
        if self.config.bundle == previous.bundle or self.config.instruction != previous.instruction:
            self._wish.publish(String(data=self.choose_instruction(self.config.instruction)))

    def collect_diagnostics(self) -> None:
        """Look after a change of bundles, and tell when the command node has fallen silent."""
        if self.state_name != "active":
            return
        self.switch.follow()
        silent_s = time.monotonic() - self._heard_s
        if silent_s <= _SILENT_S:
            self.health.resolve("command")
        else:
            self.health.problem("command", f"no run state for {silent_s:.1f} s; check the command node")
        self._watch_deafness()

    def _watch_deafness(self) -> None:
        """Count the time only while somebody publishes run states; tell when the process is about to end."""
        if self._deaf_since_s is None:
            return
        if not self.count_publishers("run_state"):
            self._deaf_since_s = time.monotonic()
        elif self._deaf:
            self.get_logger().error(
                "the command node publishes and nothing of it arrives here: the transport of this process does not "
                "work; it ends, to be started again"
            )

    def _check_again(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuse to load the running bundle's name again where its files on disk cannot run here."""
        try:
            for name in self._bundles_set(parameters):
                if not self.switch.returning and name == self.config.bundle == self.switch.name:
                    self._check_bundle(name)
        except Video2ActError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _follow_bundle(self, parameters: list[Parameter]) -> None:
        with self.reporting("parameters"):
            for name in self._bundles_set(parameters):
                self.switch.request(name)

    def _bundles_set(self, parameters: list[Parameter]) -> list[str]:
        known = self.state_name in ("inactive", "active")
        return [str(item.value) for item in parameters if known and item.name == "bundle"]

    def _check_bundle(self, name: str) -> None:
        """Check what takes no time: manifest, presence of the files, robot, instruction."""
        from video2act_ros.bundles.manifest import check_presence, read_manifest

        folder = resolve_bundle(name)
        manifest = read_manifest(folder)
        check_presence(folder, manifest)
        self.check_fit(manifest, name)
        context = getattr(self, "run_context", RunContext())
        wanted = context.instruction or self.config.instruction
        if wanted and wanted not in manifest.instructions:
            known = "; ".join(manifest.instructions)
            raise InstructionError(
                f"bundle '{name}' does not know the instruction in force, '{wanted}', only: {known}; "
                "change the instruction first"
            )

    def _identify(self, name: str) -> str:
        from video2act_ros.bundles.manifest import bundle_id, read_manifest

        folder = resolve_bundle(name)
        return bundle_id(folder, read_manifest(folder))

    def _load(self, name: str) -> Candidate[Model]:
        try:
            model = self.load_model(resolve_bundle(name))
            self.check_fit(model.manifest, name)
            return Candidate(name, model.bundle_id, model.section.features_id, model)
        finally:
            return_free_memory()

    def _work(self) -> bool:
        """Change the model if there is one to change to, then do one step."""
        self._change_model()
        worked = self.step()
        if worked:
            self._failures.succeeded()
        return worked

    def _change_model(self) -> None:
        candidate = self.switch.take()
        if candidate is None:
            return
        try:
            self.use(candidate.model)
        except Exception as error:  # noqa: BLE001  the old model goes on, and the next swap must be possible
            self.switch.give_up(candidate, error)
        else:
            self.switch.done(candidate)
        del candidate
        return_free_memory()  # of the model that goes

    def _on_error(self, error: Exception) -> None:
        """Tell what a step raised; find out, in the worker's thread, whether this process gets over it."""
        self.report_problem("model", error)
        if self._lost is None and not isinstance(error, Video2ActError):
            from video2act_ros.bundles.device import lost_device

            self._lost = lost_device() or self._failures.failed(error, time.monotonic())
            if self._lost is not None:
                end = "restart it" if self.companions() else "it ends, to be started again"
                self.get_logger().error(f"this process can compute no more: {self._lost}; {end}")

    def check_camera(self, camera: Camera, stamp_ns: int | None) -> None:
        """Tell on /diagnostics when a camera's newest image is too old, or stamped by another clock."""
        age_s = float("inf") if stamp_ns is None else (now_ns(self) - stamp_ns) / NS_PER_S
        if stamp_ns is not None and is_other_clock(age_s):
            words = other_clock_words(age_s, f"the driver on {self.resolve_topic_name(camera.topic)}")
            self.health.problem(camera.name, f"images of {camera.name} are {words}")
        elif age_s < -FUTURE_TOLERANCE_S:
            text = f"images of {camera.name} are stamped {-age_s:.2f} s in the future; synchronise the clocks"
            self.health.problem(camera.name, text)
        elif age_s <= self.profile.thresholds.image_age_s.stop:
            self.health.value(f"{camera.name}_age_s", age_s)
            self.health.resolve(camera.name)
        else:
            since = "yet" if stamp_ns is None else f"for {age_s:.1f} s"
            text = f"no image of {camera.name} {since}; {camera_remedy(self, camera)}"
            self.health.problem(camera.name, text)

    def _on_run_state(self, message: RunState) -> None:
        self._heard_s, self._deaf_since_s = time.monotonic(), None
        context, previous = run_context_from_message(message), self.run_context
        if context != previous:
            self.run_context = context
            self.context_changed(previous)
            self.worker.wake()
