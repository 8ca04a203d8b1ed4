"""Adds System 1 as ONNX graphs to a bundle, each verified against torch before anything is kept."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from video2act_ros.bundles.load import load_policy
from video2act_ros.bundles.manifest import (
    Manifest,
    OnnxSection,
    file_sha256,
    onnx_source,
    write_manifest,
)
from video2act_ros.bundles.verify_onnx import (
    MAX_ERROR,
    GraphError,
    check_errors,
    measure_graph,
    measure_policy,
)
from video2act_ros.core.errors import BundleError
from video2act_ros.core.whole_files import whole_folder
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.onnx_graphs import Graph, policy_graphs
from video2act_ros.system1.onnx_policy import OnnxPolicy
from video2act_ros.system1.onnx_session import OnnxOptions, OnnxSession, require
from video2act_ros.system1.policy import Policy

OPSET = 20  # the newest that onnxruntime's CUDA and TensorRT providers take throughout
_PARTIAL = "onnx.partial"

Report = Callable[[GraphError], None]


def export_onnx(
    folder: Path,
    out: Path | None = None,
    max_error: float = MAX_ERROR,
    report: Report = lambda error: None,
) -> tuple[GraphError, ...]:
    """Export System 1 of the bundle in `folder` into it, or into a copy of it at `out`.

    The graphs are float32 whatever the bundle's dtype. They replace older ones only after all of them
    agree with torch; until the manifest is replaced, atomically and last, the bundle is what it was.

    Args:
        folder: a whole bundle with System 1.
        out: where a copy of the bundle goes instead; must not exist.
        max_error: largest allowed error relative to each output's largest value.
        report: called with each output's error as soon as it is known.

    Raises:
        BundleError: a graph differs too much from torch; nothing is left behind.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module)
    if out is None:
        return _export_into(folder, max_error, report)
    if out.exists():
        raise BundleError(f"{out} exists already; give --out a folder that does not")
    with whole_folder(out) as partial:
        shutil.copytree(folder, partial, dirs_exist_ok=True)
        return _export_into(partial, max_error, report)


def _export_into(folder: Path, max_error: float, report: Report) -> tuple[GraphError, ...]:
    loaded = load_policy(folder, "cpu")
    policy = loaded.policy
    assert isinstance(policy, Policy)
    partial = folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        errors = _export_verified(policy.float().eval(), partial, max_error, report)
        final = folder / f"onnx-{_folder_hash(partial)}"
        if not final.exists():  # named after its content
            partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_manifest(folder, _with_graphs(loaded.manifest, final, max(error.relative for error in errors)))
    for old in folder.glob("onnx-*"):
        if old != final:
            shutil.rmtree(old)
    return errors


def _export_verified(
    policy: Policy, folder: Path, max_error: float, report: Report
) -> tuple[GraphError, ...]:
    """Write the graphs, comparing each with torch at once and the whole prediction in the end."""
    found: list[GraphError] = []

    def accept(errors: list[GraphError]) -> None:
        for error in errors:
            report(error)
        check_errors(errors, max_error)
        found.extend(errors)

    files = {}
    for graph in policy_graphs(policy):
        files[graph.name] = folder / f"{graph.name}.onnx"
        write_graph(graph, policy.config, files[graph.name])
        accept(measure_graph(graph, policy.config, OnnxSession(files[graph.name], OnnxOptions())))
    accept(measure_policy(policy, OnnxPolicy(policy.config, files, OnnxOptions())))
    return tuple(found)


def write_graph(graph: Graph, config: PolicyConfig, path: Path) -> None:
    """Write one graph to `path`, its weights beside it in `path`.data."""
    axis = Dim("language_tokens", max=config.max_lang)
    moving = config.max_lang > 1  # an axis of length one would be taken for a constant anyway
    shapes = tuple(
        {index: axis for index, length in enumerate(shape) if length == 0 and moving}
        for shape in graph.inputs.values()
    )
    example = tuple(graph.draw(config, torch.Generator().manual_seed(0), config.max_lang))
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph.module.eval(),
            example,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=_by_parameter(graph, shapes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    _strip(program.model)
    program.save(path, external_data=True)


def _by_parameter(graph: Graph, shapes: tuple[dict[int, Any], ...]) -> tuple[Any, ...]:
    """Return the shapes as `forward` takes its inputs: those of `*keys_values` in a tuple of their own."""
    code = graph.module.forward.__code__
    named = code.co_argcount - 1  # without self
    takes_more = bool(code.co_flags & 0x04)  # *args
    return (*shapes[:named], shapes[named:]) if takes_more else shapes


def _strip(model: Any) -> None:
    """Remove what the exporter notes about the source code: most of the file, and paths of this machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


def _folder_hash(folder: Path) -> str:
    hashes = [f"{path.name} {file_sha256(path)}" for path in sorted(folder.iterdir())]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:8]


def _with_graphs(manifest: Manifest, folder: Path, largest_error: float) -> Manifest:
    section = manifest.system1
    assert section is not None
    kept = {name: digest for name, digest in manifest.files.items() if not name.startswith("onnx-")}
    added = {f"{folder.name}/{path.name}": file_sha256(path) for path in sorted(folder.iterdir())}
    onnx = OnnxSection(
        graphs={Path(name).stem: name for name in added if name.endswith(".onnx")},
        source=onnx_source(section.policy, [kept[name] for name in section.weights]),
        opset=OPSET,
        made_with=f"torch {torch.__version__}, onnxruntime {require('onnxruntime').__version__}",
        largest_error=largest_error,
    )
    return manifest.model_copy(
        update={"system1": section.model_copy(update={"onnx": onnx}), "files": kept | added}
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on other libraries out of the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
