"""The simulated robot in real time: a physics thread and a rendering thread that never wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import SimulationError
from video2act_ros.core.latest import Latest
from video2act_ros.core.priority import raise_scheduling_class
from video2act_ros.core.types import ImageArray
from video2act_ros.sim.aloha import AlohaSim
from video2act_ros.sim.cameras import SceneRenderer
from video2act_ros.sim.driver import ArmDriver
from video2act_ros.sim.tasks import SuccessMonitor, Task

Array = NDArray[np.float64]

PHYSICS_STEPS = 5  # physics steps between two looks at the reference: 10 ms
MAX_LAG_S = 0.1  # beyond this the simulation gives up catching up and runs slower than the wall clock
PHYSICS_PRIORITY = 5  # SCHED_FIFO where permitted: an arm and its servos wait for no program
_STOP_TIMEOUT_S = 1.0
_RENDERER_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a camera exposure needs: the configuration (nq,) and when it was."""

    stamp_ns: int
    qpos: Array


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Rates [Hz], image size [px] and noise [grey levels] of the live robot."""

    joint_rate_hz: float
    camera_rate_hz: float
    image_width: int
    image_height: int
    image_noise: float


@dataclass(frozen=True, slots=True)
class LiveEvents:
    """What the live robot tells, each from the thread where it happens.

    `stamp` is asked for the capture time [ns] at simulated time [s]; `joints` gets (stamp_ns, positions
    (J,), velocities (J,)) in robot units and the largest torques by contacts since the last time (J,) [N m, N];
    `images` gets (stamp_ns, {camera: (H, W, 3) uint8 RGB}); `success` is called on every change; `ticked`
    after every physics period with simulated time [s].
    """

    stamp: Callable[[float], int]
    joints: Callable[[int, Array, Array, Array], None]
    images: Callable[[int, dict[str, ImageArray]], None]
    success: Callable[[bool], None]
    ticked: Callable[[float], None]


class LiveRobot:
    """Steps the physics along the wall clock, follows the driver, and exposes the cameras at their rate.

    `command` and `reset` may be called from any thread; they take effect between two physics periods.
    """

    def __init__(self, task: Task, driver: ArmDriver, settings: LiveSettings, events: LiveEvents) -> None:
        self._task, self._driver, self._settings, self._events = task, driver, settings, events
        self._sim = AlohaSim()
        self._monitor = SuccessMonitor(task)
        self._lock = threading.Lock()
        self._snapshots: Latest[Snapshot] = Latest()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._threads: list[threading.Thread] = []
        self._time_s = 0.0  # never reset, unlike the physics' own clock
        self._due_s = time.monotonic()  # when the physics period that led there was due
        self._started_s = 0.0
        self._stepped_s = 0.0
        self._episode_seed = 0
        self.frames = 0

    @property
    def realtime_factor(self) -> float:
        """Simulated time over wall time since `start`."""
        elapsed_s = time.monotonic() - self._started_s
        return self._stepped_s / elapsed_s if elapsed_s > 0 else 1.0

    def start(self, seed: int) -> None:
        """Reset to `seed` and start both threads.

        Raises:
            SimulationError: the cameras cannot be rendered on this machine.
        """
        self.reset(seed)
        self._spawn("sim_cameras", self._render_loop)
        if not self._ready.wait(_RENDERER_TIMEOUT_S) or self._failure is not None:
            self.stop()
            raise SimulationError(f"{self._failure or 'the renderer did not start'}")
        self._started_s = time.monotonic()
        self._spawn("sim_physics", self._physics_loop)

    def stop(self) -> None:
        """Stop both threads, waiting a bounded time."""
        self._stopping.set()
        self._snapshots.close()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)

    def reset(self, seed: int) -> Array:
        """Put the arms and the cube of `seed` in place; return the cube's position (3,) [m]."""
        cube = self._task.sample_cube(seed)
        with self._lock:
            self._sim.reset(cube)
            self._monitor.reset()
            self._driver.reset(self._sim.positions(), self._time_s)
            self._episode_seed = seed
            self._snapshots.clear()
        self._events.success(False)
        return cube[:3]

    def command(self, apply: Callable[[ArmDriver, float], None]) -> None:
        """Let `apply(driver, simulated time)` change the driver's command between two physics periods.

        The time is that of the present even where the physics are late and about to catch up: commands that
        came in a steady rhythm then stay one.
        """
        with self._lock:
            late_s = min(max(time.monotonic() - self._due_s, 0.0), MAX_LAG_S) if self._started_s else 0.0
            apply(self._driver, self._time_s + late_s)

    def set_power(self, powered: bool) -> None:
        """Switch the arms' servos on or off."""
        with self._lock:
            self._sim.set_power(powered)

    def abandoned_s(self) -> float | None:
        """Return since when [s] commands have failed to come in mid-motion; None: all is well."""
        with self._lock:
            return self._driver.abandoned_s(self._time_s)

    def is_idle(self) -> bool:
        """Return whether the arm stands and nobody commands it."""
        with self._lock:
            return self._driver.is_idle(self._time_s)

    def _spawn(self, name: str, loop: Callable[[], None]) -> None:
        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _physics_loop(self) -> None:
        raise_scheduling_class(PHYSICS_PRIORITY)
        period_s = PHYSICS_STEPS * self._sim.step_s
        deadline_s = time.monotonic()
        next_joint_s = next_camera_s = self._time_s
        torques = np.zeros(len(self._driver.joint_names))
        succeeded = False
        while not self._stopping.is_set():
            with self._lock:
                joints_due, camera_due = self._time_s >= next_joint_s, self._time_s >= next_camera_s
                stamp_ns = self._events.stamp(self._time_s)
                positions, velocities = self._sim.positions(), self._sim.velocities()
                if camera_due:
                    self._snapshots.put(Snapshot(stamp_ns, self._sim.snapshot()))
                torques = np.maximum(torques, self._step(period_s))
                self._due_s = deadline_s
                changed = self._monitor.update(self._sim) != succeeded
                succeeded = self._monitor.succeeded
            if joints_due:
                self._events.joints(stamp_ns, positions, velocities, torques)
                torques = np.zeros_like(torques)
                next_joint_s += 1 / self._settings.joint_rate_hz
            if camera_due:
                next_camera_s += 1 / self._settings.camera_rate_hz
            if changed:
                self._events.success(succeeded)
            self._events.ticked(self._time_s)
            deadline_s = self._sleep_until(deadline_s + period_s)

    def _step(self, period_s: float) -> Array:
        """Advance one period; return the largest torques by contacts (J,)."""
        torques = []
        for _ in range(PHYSICS_STEPS):
            self._time_s += self._sim.step_s
            self._sim.set_targets(self._driver.update(self._time_s))
            self._sim.step(1)
            torques.append(np.abs(self._sim.contact_torques()))
        self._stepped_s += period_s
        return np.max(torques, axis=0)

    def _sleep_until(self, deadline_s: float) -> float:
        """Sleep to the deadline; return it, or the present when it lies too far back."""
        now_s = time.monotonic()
        if now_s - deadline_s > MAX_LAG_S:
            return now_s
        self._stopping.wait(max(0.0, deadline_s - now_s))
        return deadline_s

    def _render_loop(self) -> None:
        settings = self._settings
        try:
            renderer = SceneRenderer(
                self._sim.model, settings.image_width, settings.image_height, settings.image_noise
            )
        except SimulationError as error:
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        try:
            while not self._stopping.is_set():
                snapshot = self._snapshots.take(timeout_s=0.1)
                if snapshot is not None:
                    renderer.seed = self._episode_seed
                    images = renderer.render(snapshot.qpos, self.frames)
                    self.frames += 1
                    self._events.images(snapshot.stamp_ns, images)
        finally:
            renderer.close()
