"""`/system1`: newest images, joints, instruction and latents in, action chunks out."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from std_msgs.msg import String

from video2act_msgs.msg import ActionChunk as ActionChunkMessage
from video2act_msgs.msg import Latents
from video2act_ros.bundles.make_chunk import ChunkBasis, make_chunk
from video2act_ros.bundles.manifest import check_joints
from video2act_ros.core.config import System1Config
from video2act_ros.core.errors import BundleError
from video2act_ros.core.latent_check import latents_problem
from video2act_ros.core.latent_pairs import LatentPairs
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.synchroniser import KEPT_S, NotReady, Synchroniser
from video2act_ros.core.types import (
    NS_PER_S,
    CameraFrame,
    JointSample,
    LatentPair,
    LatentStream,
    Observation,
    seconds_to_ns,
)
from video2act_ros.ros import qos
from video2act_ros.ros.chunk_prefix import ChunkPrefix
from video2act_ros.ros.convert_policy import (
    InputAges,
    latents_from_message,
    message_from_chunk,
)
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.input_watch import watch_cameras
from video2act_ros.ros.inputs import (
    check_same_cameras,
    choose_cameras,
    now_ns,
    subscribe_camera,
    subscribe_joints,
)
from video2act_ros.ros.lifecycle import ManagedNode
from video2act_ros.ros.model_node import ModelNode
from video2act_ros.ros.process import run_node

if TYPE_CHECKING:
    from pathlib import Path

    from video2act_ros.bundles.load import LoadedPolicy
    from video2act_ros.bundles.manifest import Manifest
    from video2act_ros.system1.config import PolicyConfig


_LONGEST_STEP_S = 0.2  # between the two observations of a policy that looks at two


class System1Node(ModelNode["LoadedPolicy"]):
    """Callbacks fill the newest inputs; the worker samples chunks from them and never waits for System 2."""

    CONFIG = System1Config
    config: System1Config
    SYSTEM = "system1"

    def load_model(self, folder: Path) -> LoadedPolicy:
        """Load and test the policy."""
        from video2act_ros.bundles.load import load_policy
        from video2act_ros.system1.onnx_session import OnnxOptions

        config = self.config
        torch_only = config.backend == "torch"
        onnx = None if torch_only else OnnxOptions.parse(config.onnx_providers, config.threads)
        return load_policy(folder, config.device, onnx)

    def check_fit(self, manifest: Manifest, bundle: str) -> None:
        """Compare joints and cameras with the robot's, and cameras with those in use."""
        section = manifest.system1
        if section is None:
            raise BundleError(f"bundle '{bundle}' holds no System 1; give a bundle that has one")
        check_joints(bundle, section.joint_names, self.profile)
        names = section.policy.images.cameras
        choose_cameras(self.profile, names, f"bundle '{bundle}'")
        if hasattr(self, "switch"):
            check_same_cameras(bundle, names, self.model.section.policy.images.cameras)

    def setup(self) -> None:
        """Load the policy and make the publishers."""
        super().setup()
        self._cameras = choose_cameras(self.profile, self.model.section.policy.images.cameras, "the bundle")
        self._chunks = self.create_publisher(ActionChunkMessage, "action_chunk", qos.DATA)
        self._known = self.create_publisher(String, "known_instructions", qos.LATCHED)

    def start(self) -> None:
        """Begin to listen and to compute."""
        self.check_alone()
        thresholds = self.profile.thresholds
        self._image_age_s = min(thresholds.image_age_s.stop, KEPT_S)
        self._pairs = LatentPairs()
        self._inputs = Synchroniser(
            tuple(camera.name for camera in self._cameras),
            thresholds.camera_skew_s,
            thresholds.joint_state_age_s.stop,
            2 * self._image_age_s + _LONGEST_STEP_S,  # the previous observation may be as late again
        )
        self._done: tuple[int, int] | None = None  # epoch and observation stamp of the newest chunk
        self._sequence = 0
        self._watch = watch_cameras(self, self.SYSTEM, self.profile, self._cameras)
        super().start()
        self.model_changed()
        for stream in LatentStream:
            self.subscribe(Latents, f"latents/{stream.value}", self._on_latents, qos.LATENTS)
        for camera in self._cameras:
            subscribe_camera(self, camera, self._on_frame)
        subscribe_joints(self, self.profile, self._on_joints)
        self._prefix = ChunkPrefix(self, self.config.realtime_chunking)

    def context_changed(self, previous: RunContext) -> None:
        """Forget and watch the inputs anew in a new episode: after a clock's step back old stamps look new."""
        if self.run_context.episode != previous.episode:
            self._watch.forget()
            self._inputs.clear()

    def model_changed(self) -> None:
        """Tell the instructions that the new policy knows."""
        self._known.publish(String(data="\n".join(self.known_instructions)))

    def companions(self) -> tuple[type[ManagedNode], ...]:
        """Return the command node where one process is wanted."""
        if self.config.control != "in_process":
            return ()
        from video2act_ros.nodes.command_node import CommandNode

        return (CommandNode,)

    # -- callbacks ----------------------------------------------------------------------------------

    def _on_latents(self, message: Latents) -> None:
        if self._pairs.add(latents_from_message(message)) is not None:
            self.health.count("latents")
            self.worker.wake()

    def _on_frame(self, frame: CameraFrame) -> None:
        self._inputs.add_frame(frame)
        self.worker.wake()
        self._watch.add_frame(frame)

    def _on_joints(self, sample: JointSample) -> None:
        self._inputs.add_joints(sample)
        self._watch.add_joints(sample)

    # -- the worker ---------------------------------------------------------------------------------

    def step(self) -> bool:
        """Compute and publish a chunk from the newest inputs; without new or usable ones say why not."""
        loaded, context = self.model, self.run_context
        instruction = self.instruction_for(context)
        time_ns = now_ns(self)
        latest_ns = time_ns + seconds_to_ns(FUTURE_TOLERANCE_S)
        observation = self._inputs.newest(
            instruction,
            self._earliest_ns(context, latest_ns),
            latest_ns,
            joints_not_before_ns=context.epoch_stamp_ns,
        )
        if isinstance(observation, NotReady):
            self.health.problem("observation", observation.reason, Level.WARN)
            return False
        self.health.resolve("observation")
        if self._done == (context.epoch, observation.stamp_ns):
            return False
        latents = self._pairs.newest
        problem = latents_problem(latents, loaded.section.features_id, context, time_ns)
        if problem is not None or latents is None:
            self.health.problem("latents", problem or "", Level.WARN)
            return False
        self.health.resolve("latents")
        return self._publish_chunk(loaded, observation, latents, context)

    def _earliest_ns(self, context: RunContext, latest_ns: int) -> int:
        """Return from when on images count: from the epoch's begin, and while their camera has not stopped.

        A camera has stopped once its images are too old beside the newest one of any camera.
        """
        stamps_ns = self._inputs.newest_stamps_ns.values()
        newest_ns = max((stamp for stamp in stamps_ns if stamp is not None and stamp <= latest_ns), default=0)
        return max(context.epoch_stamp_ns, newest_ns - seconds_to_ns(self._image_age_s))

    def _publish_chunk(
        self, loaded: LoadedPolicy, observation: Observation, latents: LatentPair, context: RunContext
    ) -> bool:
        policy = loaded.section.policy
        previous = self._previous(policy, observation, context)
        ages = _ages(observation, latents, now_ns(self))
        prefix = self._prefix.next(
            observation.stamp_ns,
            context.epoch,
            loaded.section.joint_names,
            policy.horizon,
            policy.action_step_s,
            now_ns(self),
        )
        start_s = time.monotonic()
        basis = ChunkBasis(observation, latents, previous, prefix, self.config.seed)
        chunk = make_chunk(loaded, basis, self._sequence, context.epoch)
        if self.worker.stopping:
            return False
        self._done = (context.epoch, observation.stamp_ns)
        self._chunks.publish(message_from_chunk(chunk, ages))
        self._prefix.published(time.monotonic() - start_s, context.epoch, loaded.bundle_id)
        self._sequence += 1
        self.health.count("chunks")
        self.health.value("compute_time_s", chunk.compute_time_s)
        self.health.value("observation_age_s", max(ages.images_s))
        self.health.value("latent_age_s", ages.latents_s)
        return True

    def _previous(
        self, policy: PolicyConfig, observation: Observation, context: RunContext
    ) -> Observation | None:
        """Return the observation one control step earlier, where the policy looks at two.

        Never one from before the epoch, and none that an image's largest age puts out of use: then the newest
        images stand in, as in the first moment of an episode.
        """
        if policy.images.history < 2:
            return None
        wanted_ns = observation.stamp_ns - seconds_to_ns(1.0 / policy.ctrl_freq_hz)
        earlier = self._inputs.newest(
            "",
            max(context.epoch_stamp_ns, wanted_ns - seconds_to_ns(self._image_age_s)),
            wanted_ns,
            joints_not_before_ns=context.epoch_stamp_ns,
        )
        return None if isinstance(earlier, NotReady) else earlier

    def collect_diagnostics(self) -> None:
        """Tell stopped cameras."""
        super().collect_diagnostics()
        if self.state_name == "active":
            stamps_ns = self._inputs.newest_stamps_ns
            for camera in self._cameras:
                self.check_camera(camera, stamps_ns.get(camera.name))


def _ages(observation: Observation, latents: LatentPair, now: int) -> InputAges:
    return InputAges(
        images_s=tuple((now - stamp) / NS_PER_S for stamp in observation.image_stamps_ns.values()),
        joints_s=(now - observation.joint_stamp_ns) / NS_PER_S,
        latents_s=(now - latents.stamp_ns) / NS_PER_S,
    )


def main() -> int:
    """Run the node, and the command node with it where `control` is `in_process`."""
    return run_node(System1Node)


if __name__ == "__main__":
    sys.exit(main())
