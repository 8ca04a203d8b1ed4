"""A folder of reference values: files of `in.*`, `mid.*` and `out.*` tensors and a manifest that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from video2act_ros.bundles.manifest import file_sha256
from video2act_ros.core.errors import BundleError

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ReferenceFolder:
    """`config` holds the sizes the values were made with; `entries` describes each file by its relative name."""

    path: Path
    config: Mapping[str, Any]
    entries: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """Every file of values, described or lying there, sorted."""
        described = {name for name, entry in self.entries.items() if entry.get("kind") != "weights"}
        return tuple(sorted(described | {path.name for path in self.path.glob("*.safetensors")}))

    def open(self, name: str) -> ReferenceFile:
        """Read one file.

        Raises:
            BundleError: it is missing, unreadable, not described, or not the described one.
        """
        if name not in self.entries:
            raise BundleError(f"{MANIFEST} does not describe {name}; add it there or remove the file")
        tensors = self.tensors(name)
        listed = self.entries[name].get("tensors", {})
        if lacking := sorted(set(listed) - set(tensors)):
            raise BundleError(f"{name} lacks {', '.join(lacking[:3])}, which {MANIFEST} lists; copy it again")
        return ReferenceFile(name, self, self.entries[name], tensors)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return one file's tensors; raises as `open` does."""
        path, expected = self.path / name, self.entries.get(name, {}).get("sha256")
        try:
            if expected is not None and file_sha256(path) != expected:
                raise BundleError(f"{name} is not the file that {MANIFEST} describes (sha256); copy it again")
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"cannot read {path}: {error}; copy the folder again") from error


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """One file of values; `entry` is the manifest's description, `tensors` has every name with its prefix."""

    name: str
    folder: ReferenceFolder
    entry: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def config(self) -> Mapping[str, Any]:
        """The folder's configuration."""
        return self.folder.config

    @property
    def doc(self) -> str:
        """What the manifest says about the file."""
        return str(self.entry.get("doc", ""))

    def given(self, name: str) -> Tensor:
        """Return the input `in.{name}`."""
        return self.tensors[f"in.{name}"]

    def weights(self) -> list[dict[str, Tensor]]:
        """Return the state dicts that the file's values were computed with, in the manifest's order."""
        listed = self.entry.get("weights", ())
        return [self.folder.tensors(name) for name in ([listed] if isinstance(listed, str) else listed)]


def read_folder(path: Path) -> ReferenceFolder:
    """Read a folder's manifest.

    Raises:
        BundleError: there is none, or it lacks `config` or `files`.
    """
    try:
        content = json.loads((path / MANIFEST).read_text())
        entries = {str(name): dict(entry) for name, entry in content["files"].items()}
        return ReferenceFolder(path, dict(content["config"]), entries)
    except OSError as error:
        raise BundleError(
            f"no reference values at {path}: {MANIFEST} cannot be read; give their folder"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path / MANIFEST} is damaged ({error!r}); copy the folder again") from error
