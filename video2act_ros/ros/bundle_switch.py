"""Carries out changes of a node's `bundle` parameter beside its running model."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

from rclpy.parameter import Parameter
from std_msgs.msg import String

from video2act_ros.core.errors import Video2ActError, describe_error
from video2act_ros.core.model_swap import BundleStatus, Candidate, ModelSwap, SwapFailure
from video2act_ros.ros import params, qos
from video2act_ros.ros.diagnostics import Level
from video2act_ros.ros.lifecycle import ManagedNode

M = TypeVar("M")

SYSTEMS = ("system1", "system2")
ACTIVE_BUNDLE = "active_bundle"
_PROBLEM = "bundle"


def bundle_status_topic(system: str) -> str:
    """Return the topic on which a system tells its bundle: a BundleStatus as JSON."""
    return f"{system}/bundle_status"


class BundleSwitch(Generic[M]):
    """Follows the `bundle` parameter: loads what it names, and gives it to the worker between two steps.

    `take`, `done` and `give_up` belong to the worker's thread, everything else to the executor's.
    """

    def __init__(
        self,
        node: ManagedNode,
        system: str,
        running: Candidate[M],
        load: Callable[[str], Candidate[M]],
        identify: Callable[[str], str],
        wake: Callable[[], None],
        installed: Callable[[], None],
    ) -> None:
        """Make it in the node's `setup`.

        Args:
            node: owner of the parameters `bundle` and `active_bundle`.
            system: its role: system1 or system2.
            running: what the node loaded at configuration.
            load: makes a candidate of a bundle's name; called in another thread.
            identify: returns the identity that a named bundle has on disk now; raises a Video2ActError.
            wake: makes the worker call `take` soon.
            installed: called in the executor's thread after a swap.
        """
        self._node = node
        self._system = system
        self._identify = identify
        self._wake = wake
        self._installed = installed
        self._swap = ModelSwap(load, self._changed)
        self._tell_lock = threading.Lock()
        self._active = False
        self._returning = False
        self._unusable = ""  # what failed and could not be set back: it is not loaded again and again
        self._overwritten = False
        self._running = (running.name, running.bundle_id, running.features_id)
        self._status = node.create_publisher(String, bundle_status_topic(system), qos.LATCHED)
        params.tell(node, ACTIVE_BUNDLE, running.bundle_id)

    @property
    def name(self) -> str:
        """The running bundle as `bundle` named it."""
        return self._running[0]

    @property
    def returning(self) -> bool:
        """True while `bundle` is set back to the running one."""
        return self._returning

    def overwritten(self, name: str) -> bool:
        """Return whether `name` is the running bundle's, but stands for another one on disk by now."""
        if name != self.name:
            return False
        try:
            return self._identify(name) != self._running[1]
        except Video2ActError:
            return False

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Tell what runs; begin to follow the other system and the parameter."""
        self._active = True
        for other in SYSTEMS:
            if other != self._system:
                self._node.subscribe(String, bundle_status_topic(other), self._on_other, qos.LATCHED)
        self._tell()
        self._follow()

    def stop(self) -> None:
        """Drop what is not carried out yet; `bundle` keeps its value and is followed again after `start`."""
        self._active = False
        self._swap.cancel()
        self._tell()

    def teardown(self) -> None:
        """Tell that no bundle runs."""
        params.tell(self._node, ACTIVE_BUNDLE, "")

    # -- the worker's thread ------------------------------------------------------------------------

    def take(self) -> Candidate[M] | None:
        """Return the model to use from now on, or None to go on with the present one."""
        return self._swap.take(self._running[2])

    def done(self, candidate: Candidate[M]) -> None:
        """Tell that the candidate runs."""
        self._running = (candidate.name, candidate.bundle_id, candidate.features_id)
        self._swap.done()
        self._tell()
        self._follow_soon()

    def give_up(self, candidate: Candidate[M], error: Exception) -> None:
        """Tell that the candidate could not be put to use; the model of before goes on."""
        self._swap.give_up(candidate.name, error)
        self._tell()
        self._follow_soon()

    # -- the executor's thread ----------------------------------------------------------------------

    def request(self, name: str) -> None:
        """Follow the parameter's value; also one set again, whose files were overwritten meanwhile."""
        if self._returning:
            return
        self._overwritten = self.overwritten(name)
        if not self._active:
            return
        self._node.health.resolve(_PROBLEM)
        if name == self.name and not self._overwritten:
            self._swap.cancel()
        else:
            self._load(name)
        self._tell()

    def _load(self, name: str) -> None:
        self._overwritten = False
        self._node.get_logger().info(f"loading bundle '{name}' while {self._running[1]} goes on")
        self._swap.request(name)

    def follow(self) -> None:
        """Carry on what other threads have begun; also called now and then, should a notice get lost."""
        if not self._active:
            return
        failure = self._swap.take_failure()
        if failure is not None:
            self._give_up(failure)
        if self._node.get_parameter(ACTIVE_BUNDLE).value != self._running[1]:
            params.tell(self._node, ACTIVE_BUNDLE, self._running[1])
            self._node.health.resolve(_PROBLEM)
            self._node.get_logger().info(f"bundle '{self.name}' runs as {self._running[1]}")
            self._installed()
        if (why := self._swap.waiting(self._running[2])) is not None:
            text = (
                f"{why}; set the other system's bundle too, or this one back to '{self.name}', which goes on"
            )
            self._node.health.problem(_PROBLEM, text, Level.WARN)
        elif self._swap.idle and (self._overwritten or self._wanted() not in (self.name, self._unusable)):
            self._load(self._wanted())

    def _give_up(self, failure: SwapFailure) -> None:
        """Return the parameter to what runs, and say why."""
        reason = describe_error(failure.error)
        text = f"bundle '{failure.name}' is not used, '{self.name}' goes on: {reason}"
        self._node.health.problem(_PROBLEM, text, Level.WARN)
        expected = isinstance(failure.error, Video2ActError)
        trace = "" if expected else "\n" + "".join(traceback.format_exception(failure.error))
        self._node.get_logger().error(text + trace)
        self._returning = True
        try:
            self._node.set_parameters([Parameter("bundle", value=self.name)])
        finally:
            self._returning = False
            self._unusable = "" if self._wanted() == self.name else failure.name

    def _wanted(self) -> str:
        return str(self._node.get_parameter("bundle").value)

    def _on_other(self, message: String) -> None:
        self._swap.follow(BundleStatus.from_json(message.data))
        self._wake()
        self._follow()

    def _follow(self) -> None:
        with self._node.reporting("bundle change"):
            self.follow()

    # -- any thread ---------------------------------------------------------------------------------

    def _changed(self) -> None:
        with self._node.reporting("bundle change"):
            self._tell()
            self._wake()
            self._follow_soon()

    def _follow_soon(self) -> None:
        executor = self._node.executor
        if executor is not None:
            executor.create_task(self._follow)

    def _tell(self) -> None:
        """Publish the status as it is now; one at a time, so that the newest is the last."""
        with self._tell_lock:
            _name, bundle_id, features_id = self._running
            ready = self._swap.ready_features_id
            status = BundleStatus(bundle_id, features_id, ready) if self._active else BundleStatus()
            self._status.publish(String(data=status.to_json()))
