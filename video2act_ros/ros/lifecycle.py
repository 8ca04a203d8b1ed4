"""The base of every node: a managed life with one order of steps and one way to fail."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile

from video2act_ros.core.config import NodeConfig
from video2act_ros.core.errors import ConfigurationError, Video2ActError, describe_error
from video2act_ros.ros import environment, params
from video2act_ros.ros.diagnostics import DiagnosticsPublisher, Health, Level
from video2act_ros.ros.node_names import NodeName
from video2act_ros.ros.publisher import GuardedPublisher
from video2act_ros.ros.shared_memory import REMOVED_CAUSE, OwnFiles

_LOG_PERIOD_S = 2.0  # between two log lines of one repeating problem
_REMOVED = (
    f"this process's shared memory was removed from /dev/shm: what goes through it arrives no more; {REMOVED_CAUSE}; "
    "then restart this process, and the others that send through shared memory"
)


class ManagedNode(LifecycleNode):
    """A lifecycle node whose subclasses only say what each state needs.

    `setup` loads and warms up, `start` begins, `stop` ends and waits bounded, `teardown` releases. Publishers,
    subscriptions, services and timers made in `setup` live until after `teardown`, those made in `start`
    until *before* `stop`: no callback runs while a node stops. A hook that raises leaves the node in the
    state it came from, its partial work undone by the opposite hook, which must therefore bear a half-done
    one. All hooks run in the executor's thread.
    """

    CONFIG: ClassVar[type[NodeConfig]] = NodeConfig
    RESTARTS: ClassVar[bool] = False
    """Whether its process may be replaced by a new one at any time: the arm holds until that is ready."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(self.CONFIG.NODE_NAME, **node_arguments)
        for service in self.services:  # those of the life cycle are made past `create_service`
            if not getattr(service.callback, "guarded", False):
                service.callback = self._answering(service.srv_type, service.srv_name, service.callback)
        self._name = NodeName(self.get_fully_qualified_name(), self.context.get_domain_id())
        try:
            self._name.take()
            self.config = params.declare(self, self.CONFIG)
        except ConfigurationError:
            self.destroy_node()
            raise
        self.health = Health()
        self.shared_memory_problem = environment.shared_memory_problem(environment.machine())
        self._own_files = OwnFiles()
        self._diagnostics = DiagnosticsPublisher(self, self.health)
        self.create_timer(self.config.diagnostics_period_s, self.publish_diagnostics)
        self._setup_entities: list[Any] = []
        self._start_entities: list[Any] = []
        params.validate_changes(self, lambda: self.config, self.check_config, self._apply_config)

    # -- for subclasses -----------------------------------------------------------------------------

    def setup(self) -> None:
        """Load what the node needs. Raise a Video2ActError to refuse, naming the remedy."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """End the work, waiting no longer than a second."""

    def teardown(self) -> None:
        """Release what `setup` loaded."""

    def check_config(self, config: NodeConfig) -> None:
        """Raise a Video2ActError to refuse parameter values set at run time."""

    def config_changed(self, previous: NodeConfig) -> None:
        """Act on a change of `self.config` at run time."""

    def collect_diagnostics(self) -> None:
        """Put current figures into `self.health`; called before each message on /diagnostics."""

    def subscribe(
        self, message_type: type[Any], topic: str, callback: Callable[[Any], None], profile: QoSProfile
    ) -> None:
        """Subscribe; a message that cannot be used is told on /diagnostics and dropped.

        A publisher of another quality of service is no reason for a warning: whoever needs it subscribes twice.
        """
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        self.create_subscription(message_type, topic, callback, profile, event_callbacks=quiet)

    # Every callback of a node comes from one of these, and none can end the process: an exception costs one call.

    def create_subscription(
        self, msg_type: type[Any], topic: str, callback: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Any:
        """Subscribe; what the callback raises is told on /diagnostics and goes no further."""
        return super().create_subscription(
            msg_type, topic, self._guarded(topic, callback), *arguments, **options
        )

    def create_timer(
        self, timer_period_sec: float, callback: Callable[..., Any] | None, *arguments: Any, **options: Any
    ) -> Any:
        """Make a timer; what the callback raises is told on /diagnostics and goes no further."""
        guarded = None if callback is None else self._guarded("timer", callback)
        return super().create_timer(timer_period_sec, guarded, *arguments, **options)

    def create_service(
        self,
        srv_type: type[Any],
        srv_name: str,
        callback: Callable[[Any, Any], Any],
        *arguments: Any,
        **options: Any,
    ) -> Any:
        """Offer a service; what the callback raises is told on /diagnostics, and the caller is told that it failed."""
        answer = self._answering(srv_type, srv_name, callback)
        return super().create_service(srv_type, srv_name, answer, *arguments, **options)

    def _answering(
        self, srv_type: type[Any], srv_name: str, callback: Callable[[Any, Any], Any]
    ) -> Callable[[Any, Any], Any]:
        """Return a service's callback that always answers."""

        def answer(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except Exception as error:  # noqa: BLE001
                self.report_problem(srv_name, error)
                failed = srv_type.Response()
                if hasattr(failed, "success") and hasattr(failed, "message"):
                    failed.success, failed.message = False, f"{srv_name} failed: {describe_error(error)}"
                return failed

        answer.guarded = True  # type: ignore[attr-defined]
        return answer

    def _guarded(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return `callback` so that what it raises is told and goes no further; its signature stays."""

        @functools.wraps(callback)
        def guarded(*arguments: Any) -> Any:
            with self.reporting(name):
                return callback(*arguments)

        guarded.guarded = True  # type: ignore[attr-defined]
        return guarded

    def create_publisher(self, *arguments: Any, **options: Any) -> GuardedPublisher:
        """Return a publisher that tells on /diagnostics what it could not send."""
        options.setdefault("publisher_class", GuardedPublisher)
        publisher: GuardedPublisher = super().create_publisher(*arguments, **options)
        publisher.on_failure = lambda error: self.report_problem("transport", error)
        return publisher

    @contextlib.contextmanager
    def reporting(self, name: str) -> Iterator[None]:
        """Tell errors raised inside on /diagnostics and, seldom, in the log; they go no further.

        For the top of callbacks and threads.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.report_problem(name, error)

    def report_problem(self, name: str, error: Exception) -> None:
        """Tell one error, an unexpected one with its traceback; from any thread, and never by raising another one."""
        with contextlib.suppress(Exception):
            self._report_problem(name, error)

    def _report_problem(self, name: str, error: Exception) -> None:
        expected = isinstance(error, Video2ActError)
        text = describe_error(error)
        self.health.problem(name, text, passing=True)
        log = text if expected else "".join(traceback.format_exception(error))
        self.get_logger().error(log, throttle_duration_sec=_LOG_PERIOD_S)

    def publish_diagnostics(self) -> None:
        """Publish /diagnostics now."""
        with self.reporting("diagnostics"):
            self.collect_diagnostics()
        if self.shared_memory_problem:
            self.health.problem("shared_memory", self.shared_memory_problem, Level.WARN, passing=True)
        if self._own_files.removed():
            self.health.problem("shared_memory_removed", _REMOVED, passing=True)
        self._diagnostics.publish(self.state_name)

    @property
    def state_name(self) -> str:
        """The lifecycle state: unconfigured, inactive, active, …"""
        return str(self._state_machine.current_state[1])

    @property
    def exit_status(self) -> int | None:
        """With which status the process ends by itself now; None while the node has work."""
        return None

    @property
    def may_end(self) -> bool:
        """Whether the node, told to stop, can stop now; it is waited for a bounded time."""
        return True

    def companions(self) -> tuple[type[ManagedNode], ...]:
        """Return the nodes that share this one's process."""
        return ()

    # -- transitions, final -------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `setup`; on failure `teardown`."""
        self.health.reset()
        return self._begin("configure", self.setup, self.teardown, self._setup_entities)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `start`; on failure `stop`."""
        result = self._begin("activate", self.start, self.stop, self._start_entities)
        if result is TransitionCallbackReturn.SUCCESS:
            super().on_activate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `stop`."""
        super().on_deactivate(state)
        return self._end("deactivate", self.stop, self._start_entities, entities_first=True)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `teardown`."""
        result = self._end("clean up", self.teardown, self._setup_entities, entities_first=False)
        self.health.reset()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo whatever the state needs."""
        self._undo(state.label)
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything, so that the node may be configured again."""
        self._undo("active")
        return TransitionCallbackReturn.SUCCESS

    def _undo(self, label: str) -> None:
        if label == "active":
            self._end("deactivate", self.stop, self._start_entities, entities_first=True)
        if label in ("active", "inactive"):
            self._end("clean up", self.teardown, self._setup_entities, entities_first=False)

    def _begin(
        self, verb: str, hook: Callable[[], None], undo: Callable[[], None], entities: list[Any]
    ) -> TransitionCallbackReturn:
        before = set(self._entities())
        try:
            hook()
        except Exception as error:  # noqa: BLE001
            entities.extend(set(self._entities()) - before)
            text = self._describe(verb, error)
            self._end(f"undo {verb}", undo, entities, entities_first=True)
            self.health.problem("lifecycle", text)
            self.publish_diagnostics()
            return TransitionCallbackReturn.FAILURE
        entities.extend(set(self._entities()) - before)
        self.health.resolve("lifecycle")
        return TransitionCallbackReturn.SUCCESS

    def _end(
        self, verb: str, hook: Callable[[], None], entities: list[Any], *, entities_first: bool
    ) -> TransitionCallbackReturn:
        if entities_first:
            self._destroy(entities)
        try:
            hook()
        except Exception as error:  # noqa: BLE001
            self._describe(verb, error)
            return TransitionCallbackReturn.ERROR
        finally:
            self._destroy(entities)
        return TransitionCallbackReturn.SUCCESS

    def _describe(self, verb: str, error: Exception) -> str:
        """Log one clear line for a refusal, the traceback for anything unexpected; return the line."""
        text = f"cannot {verb}: {describe_error(error)}"
        if isinstance(error, Video2ActError):
            self.get_logger().error(text)
        else:
            self.get_logger().error(f"{text}\n{traceback.format_exc()}")
        return text

    def _entities(self) -> list[Any]:
        return [*self.publishers, *self.subscriptions, *self.clients, *self.services, *self.timers]

    def _destroy(self, entities: list[Any]) -> None:
        destroyers = (
            (set(self.subscriptions), self.destroy_subscription),
            (set(self.timers), self.destroy_timer),
            (set(self.services), self.destroy_service),
            (set(self.clients), self.destroy_client),
            (set(self.publishers), self.destroy_publisher),
        )
        for present, destroy in destroyers:
            for entity in [item for item in entities if item in present]:
                destroy(entity)
        entities.clear()

    def _apply_config(self, config: NodeConfig) -> None:
        previous, self.config = self.config, config
        with self.reporting("parameters"):
            self.config_changed(previous)

    def destroy_node(self) -> None:
        """Release everything, at last the node's name."""
        super().destroy_node()
        self._name.release()

    # -- life as a process --------------------------------------------------------------------------

    def bring_up(self) -> bool:
        """Configure and activate if `autostart` says so; return whether the node is now where it should be."""
        if not self.config.autostart:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def bring_down(self) -> None:
        """Deactivate, clean up and finalise, from any state."""
        if self.state_name == "active":
            self.trigger_deactivate()
        if self.state_name == "inactive":
            self.trigger_cleanup()
        if self.state_name in ("unconfigured", "inactive", "active"):
            self.trigger_shutdown()
