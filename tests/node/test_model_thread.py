"""One thread owns a model; what it cannot get over ends the process, and a swap that fails changes nothing."""

import threading

import pytest
from rclpy.parameter import Parameter

from video2act_ros.bundles import device
from video2act_ros.core import lasting_failure
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import model_node

PATIENCE_S = 20.0


class Gate:
    """Holds a model's steps until it is opened; counts who is inside."""

    def __init__(self, compute):
        self.compute = compute
        self.entered, self.opened = threading.Event(), threading.Event()
        self.inside, self.most = 0, 0

    def __call__(self, *arguments, **options):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)
        try:
            return self.compute(*arguments, **options)
        finally:
            self.inside -= 1


@pytest.fixture
def system2(make_node, world, bundle, robot):
    return make_node(
        System2Node, bundle=str(bundle), robot=str(robot), diagnostics_period_s=0.1, rate_hz=20.0
    )


def test_a_step_that_does_not_end_keeps_a_second_worker_out(system2, world, monkeypatch):
    """Activation is refused with the reason, whatever was done in between."""
    monkeypatch.setattr(model_node, "_STOP_S", 0.05)
    encoder = system2.model.encoder
    gate = Gate(encoder.update_prepared)
    world.wait_for_more("motion")
    monkeypatch.setattr(encoder, "update_prepared", gate)
    assert gate.entered.wait(PATIENCE_S)
    old = system2.worker
    system2.trigger_deactivate()
    system2.trigger_activate()
    assert system2.state_name == "inactive"
    world.wait_for_problem("/system2", "step from before deactivation has not ended yet")
    system2.trigger_cleanup()
    system2.trigger_configure()
    assert system2.state_name == "unconfigured"
    assert system2.worker is old
    gate.opened.set()
    assert old.stop(PATIENCE_S)
    assert gate.most == 1
    system2.trigger_configure()
    system2.trigger_activate()
    assert system2.state_name == "active"
    world.wait_for_more("motion")


def test_what_a_step_makes_after_deactivation_is_not_published(system2, world, monkeypatch):
    """The next activation's first update is the first that anybody hears of again."""
    monkeypatch.setattr(model_node, "_STOP_S", 0.05)
    encoder = system2.model.encoder
    gate = Gate(encoder.update_prepared)
    world.wait_for_more("motion", 2)
    monkeypatch.setattr(encoder, "update_prepared", gate)
    assert gate.entered.wait(PATIENCE_S)
    system2.trigger_deactivate()
    count = len(world.received["motion"])
    gate.opened.set()
    assert system2.worker.stop(PATIENCE_S)
    system2.trigger_activate()
    world.wait_for_more("motion")
    assert world.received["motion"][count].sequence == 0


def ask(node, bundle):
    return node.set_parameters([Parameter("bundle", value=str(bundle))])[0]


@pytest.mark.parametrize(("node_class", "product"), [(System1Node, "chunk"), (System2Node, "motion")])
def test_a_swap_that_fails_when_the_model_is_put_to_use_leaves_the_old_one(
    systems, world, bundle, sibling_bundle, monkeypatch, node_class, product
):
    """`bundle` returns, the reason is told, and the next swap works."""
    node = next(item for item in systems if isinstance(item, node_class))
    world.wait_for_more("chunk")
    old, model, use = node.switch._running[1], node.model, node_class.use

    def refuse(self, candidate):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(node_class, "use", refuse)
    assert ask(node, sibling_bundle).successful
    world.wait_for_problem(f"/{node.SYSTEM}", "is not used")
    assert "out of memory" in world.problems[f"/{node.SYSTEM}"]
    assert node.get_parameter("bundle").value == str(bundle)
    assert node.model is model
    world.wait_for_more(product, 2)
    assert world.newest(product).bundle_id == old
    monkeypatch.setattr(node_class, "use", use)
    assert ask(node, sibling_bundle).successful
    world.wait_for(lambda: node.get_parameter("active_bundle").value != old, "the next swap")


def test_a_lost_device_ends_the_process_to_be_started_again(systems, world, monkeypatch):
    """A CUDA context that broke comes back in another process only; both systems, at the first error."""
    world.run_state(epoch=1)
    world.wait_for_more("chunk")
    assert all(node.exit_status is None for node in systems)
    for node in systems:
        monkeypatch.setattr(node._failures, "_lasting_s", float("inf"))
    monkeypatch.setattr(device, "lost_device", lambda: "CUDA error: an illegal memory access was encountered")
    monkeypatch.setattr(systems[0].model.encoder, "update_prepared", broken)
    world.wait_for(lambda: systems[0].exit_status == 1, "the end of System 2")
    monkeypatch.setattr(systems[1].model.policy, "predict", broken)
    world.wait_for(lambda: systems[1].exit_status == 1, "the end of System 1")


def broken(*_arguments, **_options):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_step_that_fails_again_and_again_ends_the_process(systems, world, monkeypatch):
    """Whatever library it is: nothing but errors for a while; a passing error ends nothing."""
    encoder = systems[0].model.encoder
    world.run_state(epoch=1)
    world.wait_for_more("chunk")
    with monkeypatch.context() as patched:
        patched.setattr(encoder, "update_prepared", broken)
        world.wait_for_problem("/system2", "illegal memory access")
    world.wait_for_more("motion")  # the error has passed
    assert systems[0].exit_status is None
    monkeypatch.setattr(lasting_failure, "_LEAST", 2)
    monkeypatch.setattr(systems[0]._failures, "_lasting_s", 0.2)
    monkeypatch.setattr(encoder, "update_prepared", broken)
    world.wait_for(lambda: systems[0].exit_status == 1, "the end of System 2")


def test_a_process_that_owns_the_arm_is_not_ended(make_node, world, bundle, robot, monkeypatch):
    """With the command node in it nobody would start it again: the arm holds, and the reason is told."""
    common = {"robot": str(robot), "bundle": str(bundle), "diagnostics_period_s": 0.1, "rate_hz": 20.0}
    make_node(System2Node, **common)
    system1 = make_node(System1Node, control="in_process", **common)
    world.wait_for_more("chunk")
    monkeypatch.setattr(device, "lost_device", lambda: "CUDA error: device lost")
    monkeypatch.setattr(system1.model.policy, "predict", broken)
    world.wait_for(lambda: system1._lost is not None, "the error")
    assert system1.exit_status is None
