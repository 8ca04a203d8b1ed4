"""What controllers and their managers tell, and for how long it is believed."""

import pytest

from video2act_ros.core.controller_reports import (
    DIAGNOSTICS_S,
    FIRST_S,
    SILENT_S,
    ControllerReports,
    ControllerState,
)

ACTIVE, INACTIVE, SILENT = ControllerState.ACTIVE, ControllerState.INACTIVE, ControllerState.SILENT


@pytest.fixture
def reports():
    reports = ControllerReports()
    reports.on_managers({"/left": "/left/controller_manager", "/right": "/right/controller_manager"})
    return reports


def state(reports, node, now_s=0.0):
    return reports.at([node], now_s).states.get(node)


def test_the_managers_activity_is_of_its_own_namespace(reports):
    """Two arms have controllers of the same name."""
    reports.on_activity("/left", {"arm_controller": "active", "gripper_controller": "inactive"})
    reports.on_activity("/right", {"arm_controller": "unconfigured"})
    assert state(reports, "/left/arm_controller") is ACTIVE
    assert state(reports, "/left/gripper_controller") is INACTIVE
    assert state(reports, "/right/arm_controller") is INACTIVE
    assert state(reports, "/arm_controller") is None
    reports.on_activity("/left", {"arm_controller": "inactive"})
    assert state(reports, "/left/arm_controller") is INACTIVE
    assert state(reports, "/left/gripper_controller") is None


def test_a_manager_in_the_root_namespace():
    """The usual one."""
    reports = ControllerReports()
    reports.on_managers({"/": "/controller_manager"})
    reports.on_activity("/", {"arm_controller": "active"})
    known = reports.at(["/arm_controller"], 0.0)
    assert known.states == {"/arm_controller": ACTIVE}
    assert known.manager_of("/arm_controller", "/arm_controller/commands") == "/controller_manager"
    assert known.manager_of("/arm_controller", "/arm_controller_2/commands") is None
    assert known.manager_of("/left/arm_controller", "/left/arm_controller/commands") is None


def test_a_manager_that_left_tells_nothing_any_more(reports):
    """Its last words were latched."""
    reports.on_activity("/left", {"arm_controller": "active"})
    reports.on_managers({"/right": "/right/controller_manager"})
    assert state(reports, "/left/arm_controller") is None


def test_a_controllers_own_states_tell_that_it_is_active_while_they_come(reports):
    """Before the first one could arrive nothing is known."""
    node = "/left/arm_controller"
    reports.watch(node, 10.0)
    assert state(reports, node, 9.9 + FIRST_S) is None
    assert state(reports, node, 10.1 + FIRST_S) is SILENT
    reports.on_controller_state(node, 12.0)
    assert state(reports, node, 11.9 + SILENT_S) is ACTIVE
    assert state(reports, node, 12.1 + SILENT_S) is SILENT
    reports.watch(node, 13.0)
    assert state(reports, node, 13.0) is SILENT, "to be told of it again does not begin anew"
    reports.unwatch(node)
    assert state(reports, node, 13.0) is None


def test_activity_is_believed_before_everything_else(reports):
    """It comes at once, and from the one who decides."""
    node = "/left/arm_controller"
    reports.watch(node, 0.0)
    reports.on_controller_state(node, 5.0)
    reports.on_activity("/left", {"arm_controller": "inactive"})
    assert state(reports, node, 5.0) is INACTIVE


@pytest.mark.parametrize("suffix", ["", ".state"])
def test_the_diagnostics_of_the_only_manager_tell_for_a_while(suffix):
    """Old and new keys; what else stands there is passed over."""
    reports = ControllerReports()
    reports.on_managers({"/left": "/left/controller_manager"})
    values = [
        (f"arm_controller{suffix}", "active"),
        (f"gripper_controller{suffix}", "inactive"),
        ("arm_controller.execution_time", "Avg: 3.1 us"),
    ]
    reports.on_diagnostics(values, 7.0)
    assert state(reports, "/left/arm_controller", 6.9 + DIAGNOSTICS_S) is ACTIVE
    assert state(reports, "/left/gripper_controller", 7.0) is INACTIVE
    assert state(reports, "/left/other", 7.0) is None
    assert state(reports, "/left/arm_controller", 7.1 + DIAGNOSTICS_S) is None


def test_diagnostics_of_several_managers_tell_nothing(reports):
    """They name no namespace: the left arm's controller could be taken for the right arm's."""
    reports.on_diagnostics([("arm_controller.state", "active")], 7.0)
    assert state(reports, "/left/arm_controller", 7.0) is None


def test_a_stand_in_tells_of_itself(reports):
    """It needs no manager."""
    assert state(reports, "/mock_driver") is None
    reports.on_stand_in("/mock_driver", False)
    assert state(reports, "/mock_driver") is INACTIVE
    reports.on_stand_in("/mock_driver", True)
    assert state(reports, "/mock_driver") is ACTIVE
