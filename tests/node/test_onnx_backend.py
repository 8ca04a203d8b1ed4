"""`/system1` with `backend: onnxruntime`: chunks from graphs, or a refusal that names the remedy."""

import weakref

import pytest
from rclpy.parameter import Parameter

from video2act_ros.bundles.export_onnx import export_onnx
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros.convert_policy import chunk_from_message

for _library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_library, reason="optional: pip install -r requirements/onnx.txt")


@pytest.fixture(scope="module")
def exported(bundle, tmp_path_factory):
    """The tiny bundle with graphs."""
    folder = tmp_path_factory.mktemp("onnx") / "exported"
    export_onnx(bundle, folder)
    return folder


@pytest.fixture
def exported_sibling(sibling_bundle, tmp_path):
    """Another policy for the same features, with graphs."""
    export_onnx(sibling_bundle, tmp_path / "sibling")
    return tmp_path / "sibling"


def test_chunks_come_from_the_graphs(make_node, world, exported, robot):
    """The whole way from cameras to chunks without torch's policy."""
    common = {"bundle": str(exported), "robot": str(robot), "diagnostics_period_s": 0.1}
    system2 = make_node(System2Node, rate_hz=10.0, **common)
    system1 = make_node(System1Node, rate_hz=10.0, backend="onnxruntime", **common)
    assert system2.came_up
    assert system1.came_up
    world.run_state(epoch=3)
    world.wait_for(lambda: world.received["chunk"] and world.newest("chunk").epoch == 3, "a chunk of epoch 3")
    assert chunk_from_message(world.newest("chunk")).positions.shape == (8, 3)
    assert type(system1.model.policy).__name__ == "OnnxPolicy"


def test_graphs_are_swapped_while_they_run(
    make_node, world, bundle, exported, exported_sibling, robot, bundle_folders
):
    """Chunks of the new bundle's graphs follow; a bundle without graphs is returned, and they go on."""
    common = {"robot": str(robot), "diagnostics_period_s": 0.1, **bundle_folders}
    make_node(System2Node, rate_hz=10.0, bundle=str(exported), **common)
    node = make_node(System1Node, rate_hz=10.0, backend="onnxruntime", bundle=str(exported), **common)
    world.wait_for_more("chunk")
    old, replaced = world.newest("chunk").bundle_id, weakref.ref(node.model.policy)
    assert node.set_parameters([Parameter("bundle", value=str(exported_sibling))])[0].successful
    world.wait_for(lambda: world.newest("chunk").bundle_id != old, "a chunk of the new graphs")
    new = world.newest("chunk").bundle_id
    world.wait_for(lambda: node.get_parameter("active_bundle").value == new, "the parameter")
    assert type(node.model.policy).__name__ == "OnnxPolicy"
    assert replaced() is None
    node.set_parameters([Parameter("bundle", value=str(bundle))])
    world.wait_for_problem("/system1", "run: video2act export")
    world.wait_for_more("chunk", 2)
    assert world.newest("chunk").bundle_id == new


@pytest.mark.parametrize(
    ("providers", "words"), [("CPU", "run: video2act export"), ("Metal", "choose one of:")]
)
def test_missing_graphs_and_unknown_providers_refuse_to_configure(
    make_node, world, bundle, robot, providers, words
):
    """The node stays unconfigured and says on /diagnostics what to do."""
    common = {"bundle": str(bundle), "robot": str(robot), "diagnostics_period_s": 0.1}
    node = make_node(System1Node, backend="onnxruntime", onnx_providers=providers, **common)
    assert not node.came_up
    world.wait_for_problem("/system1", words)
