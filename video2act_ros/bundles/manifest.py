"""The manifest of a checkpoint bundle: what it holds, for which robot, and how each file must hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from video2act_ros.core.confined import is_inside, is_plain_name
from video2act_ros.core.errors import BundleError
from video2act_ros.core.lfs_pointer import is_lfs_pointer, lfs_words
from video2act_ros.core.name_lists import difference
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.schema import Frozen
from video2act_ros.core.whole_files import write_whole
from video2act_ros.system1.config import PolicyConfig
from video2act_ros.system1.onnx_session import external_data
from video2act_ros.system2.config import VideoEncoderConfig

SCHEMA_VERSION: Literal[1] = 1
MANIFEST_FILE = "manifest.yaml"
INSTRUCTIONS_FILE = "instructions.safetensors"
_HASH_BLOCK = 1 << 22


class OnnxSection(Frozen):
    """System 1 as ONNX graphs: the file of each graph, and what they were made of.

    `source` is the `onnx_source` of policy and weights, `largest_error` the largest relative error against
    torch over all outputs.
    """

    graphs: dict[str, str]
    source: str
    opset: int
    made_with: str = ""
    largest_error: float


class System1Section(Frozen):
    """The policy: its configuration, weights, joint order and the features it was trained on."""

    policy: PolicyConfig
    weights: tuple[str, ...]
    joint_names: tuple[str, ...]
    features_id: str
    self_test: str
    onnx: OnnxSection | None = None


class System2Section(Frozen):
    """The video model: its configuration, weights and the identity of the features it makes."""

    encoder: VideoEncoderConfig
    weights: tuple[str, ...]
    features_id: str
    self_test: str


class Manifest(Frozen):
    """One bundle; it holds System 1, System 2, or both.

    `instructions` lists the texts whose embeddings lie in `instructions_file` under `system1.{i}` and
    `system2.{i}`; `files` maps every other file to its sha256.
    """

    schema_version: Literal[1]
    name: str
    description: str = ""
    made_with: tuple[str, ...] = ()
    measured: dict[str, str] = Field(default_factory=dict)
    instructions: tuple[str, ...]
    instructions_file: str = INSTRUCTIONS_FILE
    system1: System1Section | None = None
    system2: System2Section | None = None
    files: dict[str, str]

    @property
    def file_names(self) -> tuple[str, ...]:
        """Every file that is named anywhere, with its hash or without."""
        named = [self.instructions_file, *self.files]
        for section in (self.system1, self.system2):
            if section is not None:
                named += [*section.weights, section.self_test]
        if self.system1 is not None and self.system1.onnx is not None:
            named += self.system1.onnx.graphs.values()
        return tuple(dict.fromkeys(named))


def file_sha256(path: Path) -> str:
    """Return the file's sha256 as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def features_id(encoder: VideoEncoderConfig, weight_hashes: list[str]) -> str:
    """Return the identity of the features: a hash of everything that shapes them.

    Args:
        encoder: the encoder's configuration (layer, filters, sizes, colour order, …).
        weight_hashes: sha256 of each weight file, in the manifest's order.
    """
    content = json.dumps(
        {"encoder": encoder.model_dump(mode="json"), "weights": weight_hashes}, sort_keys=True
    )
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def onnx_source(policy: PolicyConfig, weight_hashes: list[str]) -> str:
    """Return the identity of what ONNX graphs are made of; arguments as in `features_id`."""
    content = json.dumps({"policy": policy.model_dump(mode="json"), "weights": weight_hashes}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def bundle_file(folder: Path, name: str) -> Path:
    """Return the path of a file that a bundle's manifest names.

    Raises:
        BundleError: the name, or a link that it follows, leads out of the bundle's folder.
    """
    if not is_plain_name(name) or not is_inside(folder / name, [folder]):
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} names '{name}', which leads out of the bundle's folder; a bundle holds "
            "all its files: copy it again, without links"
        )
    return folder / name


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder`'s manifest, without touching the weights.

    Raises:
        BundleError: no such folder or manifest, a newer schema, or a wrong key; says which.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise BundleError(
            f"no bundle at {folder}: {MANIFEST_FILE} is missing; give a bundle's folder or name"
        )
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle {folder}: {MANIFEST_FILE} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise BundleError(f"bundle {folder}: {MANIFEST_FILE} is empty or no mapping; export the bundle again")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"bundle {folder} has manifest schema {version}, this version reads {SCHEMA_VERSION}; "
            "update video2act_ros or export the bundle again"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"bundle {folder}: {problems}") from error
    for name in manifest.file_names:
        bundle_file(folder, name)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest last and atomically, so that a bundle without one is never mistaken for whole."""
    text = yaml.safe_dump(manifest.model_dump(mode="json", exclude_none=True), sort_keys=False, width=110)
    write_whole(folder / MANIFEST_FILE, text)


def bundle_id(folder: Path, manifest: Manifest) -> str:
    """Return the identity that messages carry: name and the hash of the manifest, which hashes every file."""
    return f"{manifest.name}@{file_sha256(folder / MANIFEST_FILE)[:12]}"


def check_presence(folder: Path, manifest: Manifest) -> None:
    """Check, without reading any, that every file is there and that every needed one has a hash.

    Raises:
        BundleError: names the missing file or hash.
    """
    needed = [manifest.instructions_file]
    for section in (manifest.system1, manifest.system2):
        if section is not None:
            needed += [*section.weights, section.self_test]
    if without := [name for name in needed if name not in manifest.files]:
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} gives no sha256 of {', '.join(without)}; export the bundle again"
        )
    for name in manifest.files:
        path = bundle_file(folder, name)
        if not path.is_file():
            raise BundleError(f"bundle {folder}: {name} is missing; copy the bundle again")
        if is_lfs_pointer(path):
            raise BundleError(f"bundle {folder}: {lfs_words(path)}")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file's presence and sha256 with the manifest.

    Raises:
        BundleError: names the missing or changed file.
    """
    check_presence(folder, manifest)
    for name, expected in manifest.files.items():
        path = bundle_file(folder, name)
        if (actual := file_sha256(path)) != expected:
            raise BundleError(
                f"bundle {folder}: {name} is truncated or changed (sha256 {actual[:12]}…, manifest says "
                f"{expected[:12]}…); copy the bundle again"
            )


def graph_files(folder: Path, manifest: Manifest) -> dict[str, Path]:
    """Return the file of each ONNX graph of System 1.

    Raises:
        BundleError: there are none, one lacks its hash, or they were made of other weights.
    """
    section, remedy = (
        manifest.system1,
        f"run: video2act export {folder} and take the folder that it makes, or give --in-place",
    )
    if section is None or section.onnx is None:
        raise BundleError(f"bundle {folder} has no ONNX graphs of System 1; {remedy}")
    if without := [name for name in section.onnx.graphs.values() if name not in manifest.files]:
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} gives no sha256 of {', '.join(without)}; {remedy}"
        )
    if section.onnx.source != onnx_source(section.policy, [manifest.files[name] for name in section.weights]):
        raise BundleError(f"bundle {folder}: its ONNX graphs were made of another policy; {remedy}")
    graphs = {graph: bundle_file(folder, name) for graph, name in section.onnx.graphs.items()}
    for path in graphs.values():
        _check_external_data(folder, path, manifest)
    return graphs


def _check_external_data(folder: Path, graph: Path, manifest: Manifest) -> None:
    """Refuse a graph that reads weights from other files than those of the bundle whose hashes were compared."""
    for location in external_data(graph):
        inside = is_plain_name(location) and is_inside(graph.parent / location, [folder])
        name = (graph.parent / location).relative_to(folder).as_posix() if inside else location
        if not inside or name not in manifest.files:
            raise BundleError(
                f"bundle {folder}: the graph {graph.name} reads weights from '{location}', which is no file of the "
                f"bundle; run: video2act export {folder}"
            )


def check_joints(bundle: str, names: tuple[str, ...], profile: RobotProfile) -> None:
    """Compare a bundle's joints, by name, number and order, with the robot's.

    Raises:
        BundleError: names what differs.
    """
    if names == profile.joint_names:
        return
    different = difference(names, profile.joint_names, ("the bundle", "the profile"))
    raise BundleError(
        f"bundle '{bundle}' moves {len(names)} joints, robot profile '{profile.name}' has "
        f"{len(profile.joints)}: {different}; names and order must be equal: choose the profile of the bundle's "
        "robot (robot:=…), or a bundle of this robot"
    )


def check_robot(manifest: Manifest, profile: RobotProfile) -> None:
    """Compare joint order and cameras with the robot's.

    Raises:
        BundleError: names what differs.
    """
    cameras: set[str] = set()
    if manifest.system1 is not None:
        check_joints(manifest.name, manifest.system1.joint_names, profile)
        cameras |= set(manifest.system1.policy.images.cameras)
    if manifest.system2 is not None:
        cameras.add(manifest.system2.encoder.camera)
    missing = sorted(cameras - set(profile.camera_names))
    if missing:
        raise BundleError(
            f"bundle '{manifest.name}' needs the cameras {', '.join(missing)}, which robot '{profile.name}' "
            f"lacks; its cameras: {', '.join(profile.camera_names)}"
        )
