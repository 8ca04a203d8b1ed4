"""What an operator asks of the control half: services and topics to requests of the loop."""

from __future__ import annotations

from collections.abc import Callable

from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from video2act_msgs.srv import NewEpisode, ReadClock, SetInstruction
from video2act_ros.control.loop import ControlLoop
from video2act_ros.core.errors import InstructionError
from video2act_ros.ros import clock_comparison, qos
from video2act_ros.ros.convert import ns_to_stamp
from video2act_ros.ros.instructions import InstructionBook
from video2act_ros.ros.lifecycle import ManagedNode


class ControlServices:
    """Connects the operator's services and topics to the loop; in the executor's thread.

    Args:
        node: where the services live.
        loop: what they ask.
        now_ns: the ROS clock.
        look: called before the arm is asked for, to look at the robot's drivers.
        changed: called after every request, to publish the run state.
    """

    def __init__(
        self,
        node: ManagedNode,
        loop: ControlLoop,
        now_ns: Callable[[], int],
        look: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._node, self._loop, self._now_ns = node, loop, now_ns
        self._look, self._changed = look, changed
        self._instructions = InstructionBook()
        node.create_service(Trigger, "engage", self._on_engage)
        node.create_service(Trigger, "disengage", self._on_disengage)
        node.create_service(Trigger, "move_to_start", self._on_move_to_start)
        node.create_service(Trigger, "emergency_stop", self._on_emergency_stop)
        node.create_service(NewEpisode, "new_episode", self._on_new_episode)
        node.create_service(SetInstruction, "set_instruction", self._on_set_instruction)
        node.create_service(ReadClock, clock_comparison.SERVICE, self._on_read_clock)
        # Thrice, so that no publisher's quality of service can keep a stop from arriving, nor one that was latched
        # before this node began.
        for profile in (qos.DATA, qos.JOINT_STATES, qos.LATCHED):
            node.subscribe(Bool, "emergency_stop", self._on_emergency_stop_topic, profile)
        node.subscribe(String, "known_instructions", self._on_known_instructions, qos.LATCHED)
        node.subscribe(String, "instruction", lambda message: self.set_instruction(message.data), qos.DATA)

    def check_instruction(self, instruction: str) -> None:
        """Raise an InstructionError, listing the known ones, unless System 1 knows `instruction`."""
        self._instructions.check(instruction)

    def set_instruction(self, instruction: str) -> None:
        """Ask System 1 for another instruction, in a new epoch.

        Raises:
            InstructionError: System 1 does not know it; lists those it knows.
        """
        self._instructions.check(instruction)
        self._loop.set_instruction(instruction, self._now_ns())
        self._node.health.resolve("instruction")
        self._changed()

    def _on_engage(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._look()
        return self._answer(response, self._loop.engage(self._now_ns()), "engaged", "not engaged")

    def _on_move_to_start(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._look()
        reasons, duration_s = self._loop.move_to_start(self._now_ns())
        done = f"moving to the start pose; about {duration_s:.0f} s; run_state tells how far"
        return self._answer(response, reasons, done, "not moving")

    def _answer(
        self, response: Trigger.Response, reasons: tuple[str, ...], done: str, refused: str
    ) -> Trigger.Response:
        response.success = not reasons
        response.message = done if response.success else f"{refused}: {'; '.join(reasons)}"
        self._node.get_logger().info(response.message)
        self._changed()
        return response

    def _on_disengage(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._loop.disengage()
        response.success, response.message = True, "braking, then shadow"
        self._changed()
        return response

    def _on_emergency_stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._loop.emergency_stop()
        response.success, response.message = True, "emergency stop; disengage, then engage to go on"
        self._node.get_logger().warning("emergency stop by service")
        self._changed()
        return response

    def _on_emergency_stop_topic(self, message: Bool) -> None:
        self._loop.on_emergency_stop(message.data)
        self._changed()

    def _on_new_episode(
        self, _request: NewEpisode.Request, response: NewEpisode.Response
    ) -> NewEpisode.Response:
        response.epoch = self._loop.new_episode(self._now_ns())
        response.success, response.message = True, f"epoch {response.epoch} began"
        self._changed()
        return response

    def _on_set_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        response.known_instructions = list(self._instructions.known)
        try:
            self.set_instruction(request.instruction)
            response.success = True
        except InstructionError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_read_clock(self, _request: ReadClock.Request, response: ReadClock.Response) -> ReadClock.Response:
        response.stamp = ns_to_stamp(self._now_ns())
        return response

    def _on_known_instructions(self, message: String) -> None:
        self._instructions.read(message.data)
        try:
            self._instructions.check(self._loop.status(self._now_ns()).instruction)
        except InstructionError as error:
            self._node.get_logger().error(str(error))
            self._node.health.problem("instruction", str(error))
        else:
            self._node.health.resolve("instruction")
