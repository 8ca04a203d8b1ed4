"""`/system2`: camera frames in, spatial and motion latents of the video model out."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from video2act_msgs.msg import Latents
from video2act_ros.core.config import System2Config
from video2act_ros.core.errors import BundleError
from video2act_ros.core.input_report import InputCheck, InputValue
from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.stages import FRAMES, Stages
from video2act_ros.core.stamped_history import SetBackWatch
from video2act_ros.core.types import NS_PER_S, CameraFrame, LatentStream, LatentTokens, seconds_to_ns
from video2act_ros.ros import qos
from video2act_ros.ros.convert_policy import message_from_latents
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.input_watch import publish_input_health
from video2act_ros.ros.inputs import check_same_cameras, choose_cameras, now_ns, subscribe_camera
from video2act_ros.ros.model_node import ModelNode
from video2act_ros.ros.process import run_node

if TYPE_CHECKING:
    from pathlib import Path

    from video2act_ros.bundles.load import LoadedEncoder
    from video2act_ros.bundles.manifest import Manifest
    from video2act_ros.system2.frame_history import FrameHistory, FrameWindow
    from video2act_ros.system2.frame_layout import FrameLayout, PreparedFrame


class System2Node(ModelNode["LoadedEncoder"]):
    """Keeps a history of one camera; its worker turns the newest window into latents."""

    CONFIG = System2Config
    config: System2Config
    SYSTEM = "system2"

    def __init__(self, **node_arguments: Any) -> None:
        self._frames_lock = threading.Lock()  # no frame goes into a history that a swap has just replaced
        self._layout: FrameLayout | None = None
        self._history: FrameHistory[PreparedFrame]
        super().__init__(**node_arguments)

    def load_model(self, folder: Path) -> LoadedEncoder:
        """Load and test the video model."""
        from video2act_ros.bundles.load import load_encoder

        return load_encoder(folder, self.config.device)

    def check_fit(self, manifest: Manifest, bundle: str) -> None:
        """Find the bundle's camera on the robot; it must be the one in use."""
        section = manifest.system2
        if section is None:
            raise BundleError(f"bundle '{bundle}' holds no System 2; give a bundle that has one")
        names = [section.encoder.camera]
        choose_cameras(self.profile, names, f"bundle '{bundle}'")
        if hasattr(self, "switch"):
            check_same_cameras(bundle, names, [self._camera.name])

    def use(self, model: LoadedEncoder) -> None:
        """Use this video model; frames kept so far stay unless it looks at them in another way."""
        from video2act_ros.system2.frame_layout import FrameLayout

        layout = FrameLayout.of(model.section.encoder)
        with self._frames_lock:
            history = self._history if layout == self._layout else layout.history()
            super().use(model)
            self._layout, self._history = layout, history

    def setup(self) -> None:
        """Load the model and make the publishers."""
        super().setup()
        self._camera = choose_cameras(self.profile, [self.model.section.encoder.camera], "the bundle")[0]
        self._latents = {
            stream: self.create_publisher(Latents, f"latents/{stream.value}", qos.LATENTS)
            for stream in LatentStream
        }

    def start(self) -> None:
        """Begin to listen and to compute."""
        self.check_alone()
        self._history.clear()
        self._set_back = SetBackWatch(self._history.span_ns)
        self._newest_ns: int | None = None
        self._done: tuple[int, int] | None = None  # epoch and stamp of the newest update
        self._sequence = 0
        super().start()
        reliable = self.config.camera_reliability == "reliable"
        profile = qos.RELIABLE_CAMERA if reliable else qos.CAMERA
        subscribe_camera(self, self._camera, self._on_frame, profile=profile)
        publish_input_health(self, self.SYSTEM, self._check_inputs)

    def context_changed(self, previous: RunContext) -> None:
        """Forget the frames of an earlier episode."""
        if self.run_context.episode != previous.episode:
            self._history.clear()
            self._set_back = SetBackWatch(self._history.span_ns)

    def _on_frame(self, frame: CameraFrame) -> None:
        self._newest_ns = frame.stamp_ns
        if frame.stamp_ns < self.run_context.episode_stamp_ns:
            return
        with self._frames_lock:
            if self._set_back.set_back(frame.stamp_ns):
                self._history.clear()
            self._history.add(frame)
        self.health.count("frames")
        self.worker.wake()

    def _check_inputs(self, time_ns: int) -> tuple[InputValue, ...]:
        newest_ns, camera = self._history.newest_ns, self._camera.name
        age_s = None if newest_ns is None else (time_ns - newest_ns) / NS_PER_S
        return (
            InputValue(InputCheck.IMAGE_AGE, camera, age_s),
            InputValue(InputCheck.FRAME_GAP, camera, self._history.largest_gap_s),
        )

    def step(self) -> bool:
        """Compute and publish the latents of the newest window, which holds frames of the present episode only."""
        loaded, context = self.model, self.run_context
        latest_ns = now_ns(self) + seconds_to_ns(FUTURE_TOLERANCE_S)
        window = self._history.window(context.episode_stamp_ns, latest_ns)
        if window is None or self._done == (context.epoch, window.stamp_ns):
            return False
        instruction = self.instruction_for(context)
        start_s, stages = time.monotonic(), Stages()
        features = loaded.encoder.update_prepared(window.images, loaded.instructions[instruction])
        stages.add(FRAMES, *(frame[stream] for frame in window.images for stream in LatentStream))
        compute_time_s = time.monotonic() - start_s
        if self.worker.stopping:
            return False
        self._done = (context.epoch, window.stamp_ns)
        for stream in LatentStream:
            tokens = LatentTokens(
                stream=stream,
                stamp_ns=window.stamp_ns,
                sequence=self._sequence,
                epoch=context.epoch,
                tokens=features[stream],
                features_id=loaded.section.features_id,
                bundle_id=loaded.bundle_id,
                frame_stamps_ns=window.stamps_ns,
                instruction=instruction,
                compute_time_s=compute_time_s,
                checksums=stages.checksums,
            )
            dtype = loaded.section.encoder.dtype
            self._latents[stream].publish(message_from_latents(tokens, dtype, self._camera.name))
        self._sequence += 1
        self._tell(window, compute_time_s)
        return True

    def _tell(self, window: FrameWindow[PreparedFrame], compute_time_s: float) -> None:
        self.health.count("updates")
        self.health.value("compute_time_s", compute_time_s)
        self.health.value("latent_age_s", (now_ns(self) - window.stamp_ns) / NS_PER_S)
        self.health.value("window_span_s", (window.stamp_ns - window.stamps_ns[0]) / NS_PER_S)
        self.health.value("repeated_frames", window.repeated)
        if window.gap_count:
            text = (
                f"{window.gap_count} gaps in '{self._camera.topic}', the longest {window.largest_gap_s:.2f} s"
            )
            self.health.problem("gaps", text, Level.WARN, passing=True)

    def collect_diagnostics(self) -> None:
        """Tell a stopped camera."""
        super().collect_diagnostics()
        if self.state_name == "active":
            self.check_camera(self._camera, self._newest_ns)


def main() -> int:
    """Run the node."""
    return run_node(System2Node)


if __name__ == "__main__":
    sys.exit(main())
