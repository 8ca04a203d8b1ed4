"""How far ONNX graphs are from the torch modules that they were exported from, on random inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from video2act_ros.bundles import self_test
from video2act_ros.core.errors import BundleError
from video2act_ros.core.types import Observation
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.onnx_graphs import Graph
from video2act_ros.system1.onnx_policy import OnnxPolicy
from video2act_ros.system1.onnx_session import OnnxSession
from video2act_ros.system1.policy import Policy
from video2act_ros.system1.sampler import draw_noise

MAX_ERROR = self_test.TOLERANCES["float32"]
MIN_COSINE = 0.9999
_DRAWS = 3
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class GraphError:
    """The worst of one output over all draws; `relative` is `max_abs` over the output's largest value."""

    graph: str
    output: str
    max_abs: float
    relative: float
    cosine: float

    def worse(self, other: GraphError) -> GraphError:
        """Return the worst of both; NaN counts as worst."""
        return GraphError(
            self.graph,
            self.output,
            float(np.maximum(self.max_abs, other.max_abs)),
            float(np.maximum(self.relative, other.relative)),
            float(np.minimum(self.cosine, other.cosine)),
        )


def measure_output(graph: str, output: str, expected: Tensor, actual: Tensor) -> GraphError:
    """Compare one output with torch's; another shape counts as infinitely far."""
    if expected.shape != actual.shape:
        return GraphError(graph, output, float("inf"), float("inf"), -1.0)
    wanted, given = expected.double().flatten(), actual.double().flatten()
    max_abs = float((wanted - given).abs().max())
    scale = max(float(wanted.abs().max()), _TINY)
    lengths = float(wanted.norm() * given.norm())
    cosine = float(wanted @ given) / lengths if lengths > _TINY else float(max_abs <= _TINY)
    return GraphError(graph, output, max_abs, max_abs / scale, cosine)


def check_errors(errors: Iterable[GraphError], max_error: float = MAX_ERROR) -> None:
    """Refuse graphs that differ from torch by more than `max_error`, relative to the output's largest value.

    Raises:
        BundleError: names the first output that does.
    """
    for error in errors:
        if not (error.relative <= max_error and error.cosine >= MIN_COSINE):  # also true for NaN
            raise BundleError(
                f"the ONNX graph '{error.graph}' differs from torch at '{error.output}': relative error "
                f"{error.relative:.2g} (allowed {max_error:g}), cosine {error.cosine:.6f} (at least "
                f"{MIN_COSINE:g}); nothing was written; try other versions of torch and onnxscript "
                "(requirements/constraints.txt)"
            )


def measure_graph(graph: Graph, config: PolicyConfig, session: OnnxSession) -> list[GraphError]:
    """Return the errors of every output on random inputs, with one and with the most language tokens."""
    if session.outputs != graph.outputs:
        raise BundleError(
            f"the ONNX graph '{graph.name}' has the outputs {', '.join(session.outputs)}, expected "
            f"{', '.join(graph.outputs)}; export it again"
        )
    worst: dict[str, GraphError] = {}
    for seed in range(1, _DRAWS + 1):
        for tokens in {1, config.max_lang}:
            inputs = graph.draw(config, torch.Generator().manual_seed(seed), tokens)
            with torch.no_grad():
                expected = graph.module(*inputs)
            expected = (expected,) if isinstance(expected, Tensor) else expected
            given = session.run([value.numpy() for value in inputs])
            for name, wanted, actual in zip(graph.outputs, expected, given, strict=True):
                _add(worst, measure_output(graph.name, name, wanted, torch.from_numpy(actual.numpy())))
    return list(worst.values())


def measure_policy(policy: Policy, exported: OnnxPolicy) -> list[GraphError]:
    """Return the errors of image tokens and chunk of whole predictions on random observations."""
    worst: dict[str, GraphError] = {}
    for seed in range(1, _DRAWS + 1):
        inputs = random_inputs(policy.config, seed)
        expected = self_test.policy_stages(policy, inputs)
        given = self_test.policy_stages(exported, inputs)
        for name, wanted in expected.items():
            _add(worst, measure_output("predict", name, wanted, given[name]))
    return list(worst.values())


def random_inputs(config: PolicyConfig, seed: int) -> dict[str, Tensor]:
    """Return a random observation, latents, instruction and noise, as a self-test stores them."""
    random = np.random.default_rng(seed)
    vision, video = config.vision, config.video
    size = (vision.image_height, vision.image_width, 3)
    images = {name: random.integers(0, 256, size, dtype=np.uint8) for name in config.images.cameras}
    joints = random.uniform(0.0, 1.0, config.joints)
    spatial, motion, language = (
        random.standard_normal(shape).astype(np.float32)
        for shape in (
            (video.spatial_tokens, video.feature_dim),
            (video.motion_tokens, video.feature_dim),
            (int(random.integers(1, config.max_lang + 1)), config.lang_dim),
        )
    )
    noise = draw_noise((config.horizon, config.state_vector.size), seed)
    observation = Observation(0, images, dict.fromkeys(images, 0), joints, 0, "random")
    return self_test.policy_inputs(observation, spatial, motion, torch.from_numpy(language), noise)


def _add(worst: dict[str, GraphError], error: GraphError) -> None:
    worst[error.output] = error.worse(worst.get(error.output, error))
