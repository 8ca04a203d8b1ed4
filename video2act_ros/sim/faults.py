"""What a broken camera, driver or clock does to the simulated robot's data on their way out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.config import SIM_CAMERA_FAULTS
from video2act_ros.core.types import ImageArray, seconds_to_ns

Array = NDArray[np.float64]

DELAY_S = 0.5  # of a delayed camera
CLOCK_STEP_S = 10.0


class FaultFilter:
    """Passes images and joints through, or spoils them as the present fault says.

    `freeze_<camera>` repeats the last pixels with new stamps, `drop_<camera>` passes nothing,
    `delay_<camera>` passes images 0.5 s late with their true stamps, `black_<camera>` passes sensor noise
    only, `joint_states_stop` nothing, `joint_states_nan` NaN. `clock_step_forward` and `clock_step_back`
    move the clock by 10 s once, when they are set; it goes on from there after they end. Three are no matter of data
    and only told here: `servos_off` (the arms are limp), `controller_inactive` (commands arrive and are not acted
    on) and `deaf` (nobody subscribes to commands).

    `set` may be called from any thread; `images` and `joints` each belong to one thread.
    """

    def __init__(self, noise_std: float) -> None:
        """Start without a fault; `noise_std` is the cameras' sensor noise [grey levels]."""
        self._noise_std = noise_std
        self._random = np.random.default_rng(0)
        self._lock = threading.Lock()
        self._fault = "none"
        self._kind, self._camera = "none", ""
        self._offset_ns = 0
        self._last: dict[str, ImageArray] = {}
        self._late: deque[tuple[int, ImageArray]] = deque()

    @property
    def fault(self) -> str:
        """What is in force."""
        return self._fault

    @property
    def clock_offset_ns(self) -> int:
        """How far the robot's clock has been stepped."""
        return self._offset_ns

    def set(self, fault: str) -> None:
        """Begin `fault`, one of `SIM_FAULTS`, and end the one before."""
        kind, _, camera = fault.partition("_")
        with self._lock:
            if fault == self._fault:
                return
            self._fault = fault
            self._kind, self._camera = (kind, camera) if kind in SIM_CAMERA_FAULTS else (fault, "")
            self._late.clear()
            steps = {"clock_step_forward": 1, "clock_step_back": -1}.get(fault, 0)
            self._offset_ns += steps * seconds_to_ns(CLOCK_STEP_S)

    def images(self, stamp_ns: int, images: Mapping[str, ImageArray]) -> list[tuple[str, int, ImageArray]]:
        """Return what is published for one exposure of the cameras: (camera, stamp_ns, image) each."""
        with self._lock:
            kind, camera = self._kind, self._camera
            passed = [(name, stamp_ns, image) for name, image in images.items() if name != camera]
            if camera in images:
                passed += [(camera, *item) for item in self._spoil(kind, camera, stamp_ns, images[camera])]
            self._last.update({name: image for name, image in images.items() if name != camera})
            return passed

    def joints(self, positions: Array, velocities: Array) -> tuple[Array, Array] | None:
        """Return the positions and velocities (J,) that are published; None: nothing is."""
        kind = self._kind
        if kind == "joint_states_stop":
            return None
        if kind == "joint_states_nan":
            return np.full_like(positions, np.nan), np.full_like(velocities, np.nan)
        return positions, velocities

    def _spoil(
        self, kind: str, camera: str, stamp_ns: int, image: ImageArray
    ) -> list[tuple[int, ImageArray]]:
        if kind == "freeze":
            return [(stamp_ns, self._last.setdefault(camera, image))]
        if kind == "delay":
            self._late.append((stamp_ns, image))
            due_ns = stamp_ns - seconds_to_ns(DELAY_S)
            return [self._late.popleft() for _ in range(len(self._late)) if self._late[0][0] <= due_ns]
        if kind == "black":
            noise = self._random.standard_normal(image.shape, dtype=np.float32) * self._noise_std
            return [(stamp_ns, np.clip(np.rint(noise), 0, 255).astype(np.uint8))]
        return []  # drop
