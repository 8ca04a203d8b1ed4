"""`/system1` with `backend: onnxruntime`: chunks from graphs, or a refusal that names the remedy."""

import pytest

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
