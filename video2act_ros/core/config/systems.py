"""Parameters of the nodes that run a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from video2act_ros.core.config.parameter import NodeConfig, parameter

DEFAULT_BUNDLE = "aloha_lift"


@dataclass(frozen=True, slots=True)
class ModelConfig(NodeConfig):
    """Parameters that both systems have."""

    bundle: str = parameter(
        DEFAULT_BUNDLE,
        "wanted checkpoint bundle: a folder, or a name under the share folder's models/; "
        "active_bundle tells which one runs",
        read_only=False,
    )
    bundle_folders: str = parameter(
        "",
        "folders, separated by colons, of the bundles that may be set while the node runs; besides these only the "
        "share folder's models/ and the bundle given at the start",
    )
    instruction: str = parameter(
        "", "instruction at start; empty takes the bundle's first one", read_only=False
    )
    rate_hz: float = parameter(3.0, "largest update rate", unit="Hz", minimum=0.1, maximum=100.0)
    device: str = parameter("auto", "where the model runs", choices=("auto", "cpu", "cuda"))
    threads: int = parameter(
        1, "CPU threads of the model library; 0 leaves its own choice", minimum=0, maximum=256
    )


@dataclass(frozen=True, slots=True)
class System2Config(ModelConfig):
    """Parameters of `/system2`."""

    NODE_NAME: ClassVar[str] = "system2"

    camera_reliability: str = parameter(
        "best_effort",
        "best_effort takes images from every driver; reliable asks for lost pieces again, as over a lossy link, "
        "and needs a driver that publishes reliably",
        choices=("best_effort", "reliable"),
    )


@dataclass(frozen=True, slots=True)
class System1Config(ModelConfig):
    """Parameters of `/system1`."""

    NODE_NAME: ClassVar[str] = "system1"

    rate_hz: float = parameter(4.0, "largest chunk rate", unit="Hz", minimum=0.1, maximum=100.0)
    seed: int = parameter(
        0, "seed of the sampler's noise, equal for every chunk: chunks differ only by their inputs", minimum=0
    )
    backend: str = parameter(
        "torch",
        "library that computes the policy; onnxruntime needs a bundle with exported graphs",
        choices=("torch", "onnxruntime"),
    )
    onnx_providers: str = parameter(
        "CPU", "providers of backend onnxruntime, best first, separated by commas: TensorRT, CUDA, CPU"
    )
    realtime_chunking: bool = parameter(
        False,
        "freeze the actions that will be sent during inference and guide the following ones; "
        "needs splice:=rtc of the command node",
    )
    control: str = parameter(
        "separate",
        "separate: command_node owns the arm; in_process: this process does",
        choices=("separate", "in_process"),
    )
