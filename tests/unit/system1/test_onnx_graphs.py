"""Graphs of the reference's policy variants compute what torch computes."""

import pytest
import torch

from video2act_ros.bundles.export_onnx import write_graph
from video2act_ros.bundles.verify_onnx import check_errors, measure_graph
from video2act_ros.core.errors import BundleError
from video2act_ros.system1.onnx_graphs import GRAPH_NAMES, policy_graphs
from video2act_ros.system1.onnx_session import OnnxOptions, OnnxSession

from .helpers import golden_policy, small_policy

for _library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_library, reason="optional: pip install -r requirements/onnx.txt")


@pytest.mark.parametrize(
    ("variant", "name"),
    [("direct", "vision"), ("single", "video"), ("compressor", "video"), ("direct", "step")],
)
def test_each_variants_own_graph_equals_torch(variant, name, tmp_path):
    """The SigLIP tower, one stream alone, compressed streams, and a step with the variance norm."""
    policy = golden_policy(variant)
    graph = next(graph for graph in policy_graphs(policy) if graph.name == name)
    write_graph(graph, policy.config, tmp_path / f"{name}.onnx")
    session = OnnxSession(tmp_path / f"{name}.onnx", OnnxOptions())
    errors = measure_graph(graph, policy.config, session)
    assert [error.output for error in errors] == list(graph.outputs)
    check_errors(errors, 1e-4)


def test_the_graphs_together_are_the_policy():
    """Cutting at the graphs' borders changes nothing: evaluated in turn by torch they give `denoise`."""
    policy = small_policy()
    config = policy.config
    graphs = {graph.name: graph for graph in policy_graphs(policy)}
    assert tuple(graphs) == GRAPH_NAMES
    inputs = {
        name: graph.draw(config, torch.Generator().manual_seed(3), config.max_lang)
        for name, graph in graphs.items()
    }
    noisy, timestep, state = inputs["step"][:3]
    with torch.no_grad():
        tokens = graphs["vision"].module(*inputs["vision"])
        scene = graphs["scene"].module(tokens, *graphs["video"].module(*inputs["video"]))
        words = graphs["language"].module(*inputs["language"])
        actual = graphs["step"].module(noisy, timestep, state, *words, *scene)
        mask = policy.state_vector.mask
        conditions = policy.conditions(*inputs["language"], tokens, *inputs["video"])
        expected = policy.denoise(
            noisy,
            timestep,
            policy.adapt_state_action(state, mask),
            conditions,
            torch.tensor([config.ctrl_freq_hz]),
            mask,
        )
    torch.testing.assert_close(actual, expected)


def test_a_policy_that_never_sees_the_scene_is_refused():
    """One block looks at the instruction only."""
    with pytest.raises(BundleError, match="depth 1"):
        next(policy_graphs(small_policy(depth=1)))
