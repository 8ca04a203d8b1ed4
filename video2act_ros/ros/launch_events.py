"""How `ros2 launch` follows a stack: each node is configured and activated, each process's end has its consequence."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import launch.logging
from launch.actions import OpaqueCoroutine, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode
from launch_ros.events.lifecycle import ChangeState, StateTransition
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import GetState

from launch import EventHandler, LaunchContext
from video2act_ros.core.errors import Video2ActError
from video2act_ros.ros.deployment import Deployment
from video2act_ros.ros.stack import (
    COMMAND,
    REPLAY_NODE,
    SYSTEM1,
    NodeSpec,
    WhenEnded,
)

RESPAWN_DELAY_S = 2.0
_ANSWER_S = 1.0  # after which the question for a node's state is asked once more
_LOST_STATUS = 255  # asyncio's, for a process that ended just as launch signalled it; no node ends with it
_LOOK_S = 0.1  # between two looks whether the node's services are there


class StackEnded(Video2ActError):
    """A process ended without which the stack cannot go on; launch ends with status 1."""


class StackProgress:
    """What the nodes of one stack share: which are to come up, and which have."""

    def __init__(self, specs: tuple[NodeSpec, ...]) -> None:
        self.log = launch.logging.get_logger("video2act")
        self.deployment = Deployment(specs)
        self._waiting: set[str] = set()

    def begin(self, deployment: Deployment) -> None:
        """Expect the nodes of its processes to become active."""
        self.deployment = deployment
        names = [spec.name for spec in deployment.processes]
        self._waiting = set(names)
        self.log.info(f"starting {', '.join(names)}; models need a while to load")

    def lost(self, name: str) -> None:
        """Take that a node is gone and will come back."""
        if self._waiting:  # once all were active, its return is told alone
            self._waiting.add(name)

    def active(self, name: str) -> None:
        """Take that a node is active; tell once that all are."""
        namespace = self.deployment.namespace
        first = bool(self._waiting)
        self._waiting.discard(name)
        if self._waiting or not first:
            self.log.info(f"{namespace}/{name} is active")
        elif REPLAY_NODE in self.deployment.specs:
            self.log.info("all nodes are active; the bag plays")
        elif COMMAND not in self.deployment.nodes:
            self.log.info("all nodes of this machine are active; the robot's computer engages")
        else:
            engage = f"ros2 service call {namespace}/engage std_srvs/srv/Trigger"
            self.log.info(f"all nodes are active, in shadow: nothing is commanded until: {engage}")


class NodeEvents:
    """Reacts to what happens to one process and its node. Called in launch's event loop."""

    def __init__(self, spec: NodeSpec, process: LifecycleNode, progress: StackProgress) -> None:
        self._spec = spec
        self._process = process
        self._progress = progress
        self._starts = 0
        self._was_up = False
        self._client: Any = None

    def handlers(self) -> list[RegisterEventHandler]:
        """Return the handlers that a launch description needs."""
        return [
            RegisterEventHandler(
                OnProcessStart(target_action=self._process, on_start=lambda event, context: self._started())
            ),
            RegisterEventHandler(
                EventHandler(
                    matcher=lambda event: (
                        isinstance(event, StateTransition) and event.action is self._process
                    ),
                    entities=[OpaqueFunction(function=self._changed)],
                )
            ),
            RegisterEventHandler(OnProcessExit(target_action=self._process, on_exit=self._ended)),
        ]

    # -- up -----------------------------------------------------------------------------------------

    def _started(self) -> OpaqueCoroutine:
        self._starts += 1
        return OpaqueCoroutine(coroutine=self._configure, args=[self._starts])

    async def _configure(self, context: LaunchContext, start: int) -> None:
        """Ask the node to configure itself as soon as it answers.

        A request sent at once could go to nobody and wait for ever: after a kill the middleware takes the
        old node for alive until its lease ends.
        """
        with contextlib.suppress(asyncio.CancelledError):  # launch would take it for its own end
            while start == self._starts:
                if await self._state(context) == State.PRIMARY_STATE_UNCONFIGURED:
                    self._was_up = True
                    await context.emit_event(self._change(Transition.TRANSITION_CONFIGURE))
                    return

    async def _state(self, context: LaunchContext) -> int | None:
        """Return the node's lifecycle state, None if it gave no answer."""
        if self._client is None:
            node = get_ros_node(context)
            self._client = node.create_client(GetState, f"{self._process.node_name}/get_state")
        if not self._client.service_is_ready():
            await asyncio.sleep(_LOOK_S)
            return None
        answer: asyncio.Future[int] = context.asyncio_loop.create_future()
        request = self._client.call_async(GetState.Request())

        def answered(done: Any) -> None:
            if not done.cancelled() and not answer.done():
                answer.set_result(done.result().current_state.id)

        request.add_done_callback(lambda done: context.asyncio_loop.call_soon_threadsafe(answered, done))
        try:
            return await asyncio.wait_for(answer, _ANSWER_S)
        except asyncio.TimeoutError:
            self._client.remove_pending_request(request)
            return None

    def _change(self, transition: int) -> ChangeState:
        return ChangeState(lifecycle_node_matcher=matches_action(self._process), transition_id=transition)

    def _changed(self, context: LaunchContext) -> None:
        """Activate a node that is configured; tell what to do about one that refused."""
        event: StateTransition = context.locals.event
        name, step = self._process.node_name, (event.start_state, event.goal_state)
        if step == ("configuring", "inactive"):
            context.emit_event_sync(self._change(Transition.TRANSITION_ACTIVATE))
        elif step == ("activating", "active"):
            self._progress.active(self._spec.name)
        elif step == ("configuring", "unconfigured"):
            self._refused(f"{name} could not be configured", f"ros2 lifecycle set {name} configure")
        elif step == ("activating", "inactive"):
            self._refused(f"{name} could not be activated", f"ros2 lifecycle set {name} activate")

    def _refused(self, what: str, remedy: str) -> None:
        if self._spec.when_ended is WhenEnded.FINISH:
            raise StackEnded(f"{what}; it says above why. Launch again once that is put right")
        self._progress.log.error(
            f"{what}; it says above why. Once that is put right: {remedy}. Or Ctrl-C, and launch again"
        )

    # -- down ---------------------------------------------------------------------------------------

    def _ended(self, event: ProcessExited, context: LaunchContext) -> list[Shutdown] | None:
        """Tell what the end of the process means; raise StackEnded where the stack cannot go on."""
        self._starts += 1  # nobody waits for its answer any more
        what = f"{self._spec.executable} ended {_how(event.returncode)}"
        if context.is_shutdown:
            # -SIGINT: it had not begun to start yet
            if event.returncode not in (0, -signal.SIGINT, _LOST_STATUS):
                raise StackEnded(f"{what} instead of stopping")
            return None
        meaning = self._progress.deployment.when_ended(self._spec)
        if meaning is WhenEnded.GO_ON:
            self._progress.log.error(f"{what}; the others go on without it")
        elif meaning is WhenEnded.FINISH and event.returncode == 0:
            return [Shutdown(reason="the bag was played")]
        elif not self._was_up:
            raise StackEnded(f"{what} before its node was up; it says above why")
        elif meaning is WhenEnded.RESPAWN:
            self._progress.lost(self._spec.name)
            delay = f"it starts again in {RESPAWN_DELAY_S:g} s"
            self._progress.log.error(f"{what}; {delay}; an engaged arm holds until it is back")
        elif meaning is WhenEnded.FINISH:
            raise StackEnded(f"{what}; it says above why")
        else:
            raise StackEnded(f"{what}; {self._consequence()}, so the stack stops. Launch it again")
        return None

    def _consequence(self) -> str:
        if self._spec in (COMMAND, SYSTEM1):
            return "nobody commands the arm any more"
        return "nothing stands for the robot any more"


def _how(status: int) -> str:
    return f"by signal {-status}" if status < 0 else f"with status {status}"
