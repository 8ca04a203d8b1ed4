"""Embeddings of instructions: read from files, computed by text encoders, and added to a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import T5EncoderModel, UMT5EncoderModel

from video2act_ros.bundles.checkpoint_files import read_pickle
from video2act_ros.bundles.manifest import (
    Manifest,
    bundle_file,
    file_sha256,
    read_manifest,
    write_manifest,
)
from video2act_ros.bundles.text_encoder import encode_text
from video2act_ros.bundles.write import write_instructions
from video2act_ros.core.errors import BundleError

T5_MAX_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Instruction:
    """A text with its embeddings for System 1 (L, lang_dim) and System 2 (L, D); None where not imported."""

    text: str
    language: Tensor | None = None
    video_text: Tensor | None = None


def read_language(path: Path) -> tuple[str | None, Tensor]:
    """Return the text, if the file has it, and the T5 embedding (L, D) of a file for System 1.

    The file holds `{name, instruction, embeddings}` or the bare tensor.

    Raises:
        BundleError: the file is missing, damaged, wants to run code, or holds something else.
    """
    content = read_pickle(path)
    text = None
    if isinstance(content, Mapping):
        text = content.get("instruction")
        content = content.get("embeddings")
    return (text if isinstance(text, str) else None), _tokens(content, path, "embeddings")


def read_video_text(path: Path) -> Tensor:
    """Return the UMT5 embedding (L, D) of a file for System 2, without the zeros that fill it up.

    The file holds `{llama_vec, llama_attention_mask, …}` or the bare tensor.

    Raises:
        BundleError: the file is missing, damaged, wants to run code, or holds something else.
    """
    content = read_pickle(path)
    tokens = _tokens(content.get("llama_vec") if isinstance(content, Mapping) else content, path, "llama_vec")
    used = tokens.abs().sum(dim=1).nonzero()
    return tokens[: int(used.max()) + 1 if len(used) else 0].clone()


def _tokens(content: object, path: Path, name: str) -> Tensor:
    if isinstance(content, Tensor) and content.ndim == 3 and len(content) == 1:
        content = content[0]
    if not isinstance(content, Tensor) or content.ndim != 2 or not content.is_floating_point():
        raise BundleError(
            f"{path} holds no '{name}' of shape (L, D) or (1, L, D); give an instruction's embedding"
        )
    if not content.isfinite().all():
        raise BundleError(f"{path}: NaN or infinite numbers in '{name}'; compute the embedding again")
    return content


def language_of(text: str, source: Path) -> Tensor:
    """Return System 1's embedding (L, D) of `text`: from a file, or computed by the T5 encoder in a folder."""
    if source.is_dir():
        tokens = encode_text(text, source, T5EncoderModel, T5_MAX_TOKENS)
        return _tokens(tokens, source, "hidden state")
    stored, tokens = read_language(source)
    if stored is not None and " ".join(stored.split()) != " ".join(text.split()):
        raise BundleError(f"{source} is the embedding of '{stored}', not of '{text}'; give the right file")
    return tokens


def video_text_of(text: str, source: Path, length: int) -> Tensor:
    """Return System 2's embedding (L, D) of `text`: from a file, or computed by the UMT5 encoder in a folder."""
    if source.is_dir():
        tokens = encode_text(" ".join(text.split()), source, UMT5EncoderModel, length)
        return _tokens(tokens, source, "hidden state")
    return read_video_text(source)


def add_instruction(folder: Path, text: str, t5: Path | None, umt5: Path | None) -> Manifest:
    """Add an instruction to a bundle, or replace its embeddings; return the new manifest.

    Args:
        folder: the bundle's.
        text: the instruction.
        t5: file or text encoder for System 1; needed when the bundle has one.
        umt5: file or text encoder for System 2; needed when the bundle has one.

    Raises:
        BundleError: an embedding is missing or does not fit the bundle.
    """
    if not text.strip():
        raise BundleError("the instruction is empty; give its text")
    manifest = read_manifest(folder)
    added: dict[str, Tensor] = {}
    if manifest.system1 is not None:
        if t5 is None:
            raise BundleError(f"bundle {folder} holds System 1: give a T5 folder or file with --t5")
        added["system1"] = language_of(text, t5)
        check_language(manifest, added["system1"])
    if manifest.system2 is not None:
        if umt5 is None:
            raise BundleError(f"bundle {folder} holds System 2: give a UMT5 folder or file with --umt5")
        added["system2"] = video_text_of(text, umt5, manifest.system2.encoder.text.length)
        check_video_text(manifest, added["system2"])
    return _store(folder, manifest, text, added)


def check_language(manifest: Manifest, tokens: Tensor) -> None:
    """Refuse an embedding (L, D) that System 1 cannot take."""
    assert manifest.system1 is not None
    policy = manifest.system1.policy
    if tokens.shape[1] != policy.lang_dim or not 0 < len(tokens) <= policy.max_lang:
        raise BundleError(
            f"the T5 embedding is {tuple(tokens.shape)}, the policy takes (1 to {policy.max_lang}, "
            f"{policy.lang_dim}); use the text encoder that the policy was trained with"
        )


def check_video_text(manifest: Manifest, tokens: Tensor) -> None:
    """Refuse an embedding (L, D) that System 2 cannot take."""
    assert manifest.system2 is not None
    text = manifest.system2.encoder.text
    if tokens.shape[1] != text.dim or len(tokens) > text.length:
        raise BundleError(
            f"the UMT5 embedding is {tuple(tokens.shape)}, the video model takes (up to {text.length}, {text.dim}); "
            "use the text encoder that the video model was trained with"
        )


def _store(folder: Path, manifest: Manifest, text: str, added: Mapping[str, Tensor]) -> Manifest:
    """Write the embeddings under a name of their own; replacing the manifest, at one stroke, makes them count.

    A crash before that leaves the old bundle, and one after it the new one; at most a file too many.
    """
    path = bundle_file(folder, manifest.instructions_file)
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"cannot read {path}: {error}; copy the bundle again") from error
    texts = list(manifest.instructions)
    place = texts.index(text) if text in texts else len(texts)
    names = [*texts[:place], text, *texts[place + 1 :]]
    lists: dict[str, list[Tensor]] = {"system1": [], "system2": []}
    for system, value in added.items():
        lists[system] = [value if i == place else stored[f"{system}.{i}"] for i in range(len(names))]
    temporary = folder / "instructions.partial"
    write_instructions(temporary, lists["system1"], lists["system2"])
    digest = file_sha256(temporary)
    name = f"instructions-{digest[:12]}.safetensors"
    files = {key: value for key, value in manifest.files.items() if key != path.name} | {name: digest}
    changed = manifest.model_copy(
        update={"instructions": tuple(names), "instructions_file": name, "files": files}
    )
    temporary.replace(folder / name)
    write_manifest(folder, changed)
    if name != path.name:
        path.unlink()
    return changed


def pair_instructions(
    texts: Sequence[str],
    languages: Sequence[tuple[str | None, Tensor]],
    video_texts: Sequence[Tensor],
    systems: Mapping[int, bool],
) -> tuple[Instruction, ...]:
    """Join texts and embeddings given in the same order; a text may come from its T5 file.

    Args:
        texts: of every instruction, or none.
        languages: what `read_language` returned.
        video_texts: what `read_video_text` returned.
        systems: which of the systems 1 and 2 are imported and hence need embeddings.

    Raises:
        BundleError: the lists do not match.
    """
    names = list(texts) or [text or "" for text, _ in languages]
    for given, system, option in ((languages, 1, "--t5"), (video_texts, 2, "--umt5")):
        if len(given) != (len(names) if systems[system] else 0):
            raise BundleError(
                f"{len(names)} instructions, but {len(given)} times {option}; give one file per instruction for each "
                "system that is imported, in the same order"
            )
    if any(not name.strip() for name in names):
        raise BundleError(
            "an embedding's file does not name its instruction; give the text with --instruction"
        )
    if len(set(names)) != len(names):
        raise BundleError("an instruction is given twice; give each once")
    return tuple(
        Instruction(
            name,
            languages[index][1] if systems[1] else None,
            video_texts[index] if systems[2] else None,
        )
        for index, name in enumerate(names)
    )
