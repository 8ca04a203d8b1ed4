"""Checks of what the stack itself brings: models, robot profiles, simulation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from video2act_ros.bundles.manifest import check_files, read_manifest
from video2act_ros.core.errors import BundleError
from video2act_ros.core.robot_profile import ProfileError, load_robot_profile
from video2act_ros.doctor.findings import Finding, ok, problem, warning
from video2act_ros.doctor.machine import Machine
from video2act_ros.ros.environment import MANIFEST_FILE
from video2act_ros.sim.graphics import INSTALL_HINT


def check_stack(machine: Machine, share: Path) -> Iterator[Finding]:
    """Yield the findings about the package's files and its libraries."""
    yield check_rendering(machine)
    yield from check_profiles(share)
    yield from check_bundles(share)
    yield check_model_library(machine)


def check_rendering(machine: Machine) -> Finding:
    """Judge whether the simulated robot's cameras can be rendered."""
    library = machine.environ.get("MUJOCO_GL") or machine.gl_library()
    if library:
        return ok("rendering", library)
    return warning(
        "rendering", "no OpenGL library: the simulated robot has no cameras", f"run {INSTALL_HINT}"
    )


def check_profiles(share: Path) -> Iterator[Finding]:
    """Judge every robot profile."""
    paths = sorted((share / "config" / "robots").glob("*.yaml"))
    if not paths:
        yield problem("robot profiles", "none found", f"put one into {share / 'config' / 'robots'}")
    for path in paths:
        yield from check_profile(path)


def check_profile(path: Path) -> Iterator[Finding]:
    """Judge one robot profile: a finding for each mistake in it."""
    topic = f"robot {path.stem}"
    try:
        profile = load_robot_profile(path)
    except ProfileError as error:
        for text in error.mistakes or (str(error),):
            yield problem(topic, text, f"correct {path}")
    else:
        for unknown in profile.unknown_rates:
            what, remedy = unknown.split("; ", 1)
            yield warning(topic, what, f"{remedy} in {path}")
        text = f"{len(profile.joints)} joints, cameras {', '.join(profile.camera_names)}"
        checks = path.read_text(encoding="utf-8").count("check")
        yield ok(topic, f"{text}; {checks} remarks to check" if checks else text)


def check_bundles(share: Path) -> Iterator[Finding]:
    """Compare every bundle's files with the hashes in its manifest."""
    folders = sorted(path.parent for path in (share / "models").glob(f"*/{MANIFEST_FILE}"))
    if not folders:
        yield problem("bundles", "none found", f"copy or train one into {share / 'models'}")
    for folder in folders:
        try:
            manifest = read_manifest(folder)
            check_files(folder, manifest)
        except BundleError as error:
            yield problem(f"bundle {folder.name}", str(error), f"copy {folder} again")
        else:
            yield ok(f"bundle {folder.name}", f"{len(manifest.files)} files, hashes agree")


def check_model_library(machine: Machine) -> Finding:
    """Judge whether torch is installed, without importing it: that takes seconds."""
    if machine.has_module("torch"):
        return ok("torch", "installed; --models tells its device")
    return problem("torch", "not installed", "make setup")


def check_device() -> Finding:
    """Import torch and tell where the models run."""
    try:
        import torch
    except ImportError as error:
        return problem("torch device", f"torch cannot be imported: {error}", "make setup")
    if torch.cuda.is_available():
        return ok("torch device", f"torch {torch.__version__}, CUDA: {torch.cuda.get_device_name(0)}")
    return ok("torch device", f"torch {torch.__version__}, CPU, {torch.get_num_threads()} threads by default")
