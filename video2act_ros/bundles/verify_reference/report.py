"""Verdicts over a folder of reference values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from video2act_ros.bundles.verify_reference import action_head, video_model, whole_steps
from video2act_ros.bundles.verify_reference.compare import compare
from video2act_ros.bundles.verify_reference.folder import ReferenceFile, ReferenceFolder, read_folder
from video2act_ros.bundles.verify_reference.models import Computed
from video2act_ros.core.errors import InputError, Video2ActError

GROUPS: dict[str, Callable[[ReferenceFile], Computed]] = {
    "a_action_core": action_head.action_core,
    "b_sampling": action_head.sampling,
    "b_ddpm_add_noise": action_head.add_noise,
    "c_extraction": video_model.extraction,
    "d_wan_features": video_model.wan_features,
    "d_wan_full_model": video_model.whole_transformer,
    "e_compressor": action_head.token_compressor,
    "e_video_layernorm_and_adaptor": action_head.stream_norms,
    "f_predict": whole_steps.prediction,
    "g_siglip_preprocess": whole_steps.siglip_preprocess,
    "g_state_vector": whole_steps.state_vector,
    "g_jpeg_roundtrip": whole_steps.observation_path,
    "h_vae_encode": video_model.vae_encode,
    "i_runtime_step": whole_steps.runtime_step,
    "j_pos_and_time_embeddings": video_model.embeddings,
    "j_motion_frame_select": video_model.frame_selection,
    "j_interpolate_action": whole_steps.bounded_steps,
}
"""What computes the files whose names start like this."""

_UNUSABLE = (
    Video2ActError, ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError,
    SafetensorError, StopIteration, TypeError, ValueError, np.exceptions.AxisError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """One file: largest absolute errors (None where nothing was compared), tolerance, and why it failed."""

    file: str
    max_error_out: float | None
    max_error_mid: float | None
    tol: float
    passed: bool
    reason: str = ""


def verify_folder(path: Path) -> Iterator[Verdict]:
    """Yield a verdict for every file of a folder of reference values, in the order of their names.

    Raises:
        BundleError: the folder has no usable manifest, or no file.
    """
    folder = read_folder(path)
    if not folder.names:
        raise InputError(f"no reference values at {path}: its manifest lists none; give another folder")
    for name in folder.names:
        yield verify_file(folder, name)


def verify_file(folder: ReferenceFolder, name: str) -> Verdict:
    """Compute one file through the package's public functions; what cannot be computed fails."""
    tolerance = 0.0  # without one, values are exact
    try:
        file = folder.open(name)
        tolerance = float(file.entry.get("tol", 0.0))
        errors = compare(file.tensors, _group(file)(file))
    except _UNUSABLE as error:
        reason = f"cannot be computed: {error}" if str(error) else f"cannot be computed: {error!r}"
        return Verdict(name, None, None, tolerance, False, reason)
    if errors.out is None:
        return Verdict(name, None, errors.mid, tolerance, False, "holds no output to compare")
    passed = max(errors.out, errors.mid or 0.0) <= tolerance
    reason = "" if passed else f"largest error in {errors.worst}"
    return Verdict(name, errors.out, errors.mid, tolerance, passed, reason)


def _group(file: ReferenceFile) -> Callable[[ReferenceFile], Computed]:
    """Return what computes the file: the group that the manifest names, or the one its name begins like."""
    name = str(file.entry.get("group") or Path(file.name).name)
    for prefix, compute in GROUPS.items():
        if name.startswith(prefix):
            return compute
    raise InputError(f"no group of reference values starts like '{name}'; known: {', '.join(GROUPS)}")
