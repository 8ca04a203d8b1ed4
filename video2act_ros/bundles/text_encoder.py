"""Opens the folder of a T5 or UMT5 text encoder as it is published, and embeds a text with it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import tokenizers
import torch
import transformers
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, T5Tokenizer

from video2act_ros.core.errors import BundleError
from video2act_ros.core.lfs_pointer import is_lfs_pointer, lfs_words

SENTENCEPIECE_FILE = "spiece.model"
TOKENIZER_FILE = "tokenizer.json"
T = TypeVar("T")
_PARTS = ("text_encoder", "tokenizer")  # folders of a diffusers pipeline


@torch.inference_mode()
def encode_text(text: str, folder: Path, model: type[PreTrainedModel], max_tokens: int) -> Tensor:
    """Return the last hidden state (L, D) of the text's own tokens with the end token; nothing is padded.

    Args:
        text: what to embed.
        folder: of the encoder and its tokenizer (tokenizer.json or spiece.model), or of a pipeline that has both as
            text_encoder/ and tokenizer/.
        model: the class that reads the encoder.
        max_tokens: L at most; a longer text is cut.

    Raises:
        BundleError: something is missing, not fetched, or of a format that the libraries here do not read; one line
            with the file and what to do.
    """
    weights, words = (folder / part if (folder / part).is_dir() else folder for part in _PARTS)
    for path in sorted({*weights.iterdir(), *words.iterdir()}):
        if is_lfs_pointer(path):
            raise BundleError(lfs_words(path))
    tokenizer = _read_tokenizer(words)
    ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_tokens).input_ids
    encoder = _read_encoder(weights, model)
    _check_tokens(ids, encoder, words)
    return encoder(input_ids=ids).last_hidden_state[0].clone()


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    whole, pieces = (folder / name for name in (TOKENIZER_FILE, SENTENCEPIECE_FILE))
    if not whole.is_file() and not pieces.is_file():
        raise BundleError(
            f"no tokenizer in {folder}: neither {TOKENIZER_FILE} nor {SENTENCEPIECE_FILE}; copy it from where the "
            "text encoder was published"
        )
    if whole.is_file():
        remedy = (
            f"it may be of a newer format than tokenizers {tokenizers.__version__} and transformers "
            f"{transformers.__version__} read: update them, or give a folder with {SENTENCEPIECE_FILE} alone"
        )
        return _opened(whole, lambda: AutoTokenizer.from_pretrained(folder, local_files_only=True), remedy)
    _require_sentencepiece(folder)
    # AutoTokenizer looks for the tokenizer's class by the encoder's name, and knows none for UMT5.
    remedy = "copy it again"
    return _opened(pieces, lambda: T5Tokenizer.from_pretrained(folder, local_files_only=True), remedy)


def _read_encoder(folder: Path, model: type[PreTrainedModel]) -> PreTrainedModel:
    def read() -> tuple[PreTrainedModel, dict[str, object]]:
        return model.from_pretrained(folder, local_files_only=True, dtype="auto", output_loading_info=True)

    encoder, info = _opened(folder, read, "give a folder that transformers saved")
    if missing := sorted(str(key) for key in info["missing_keys"]):  # type: ignore[attr-defined]
        raise BundleError(
            f"the weights in {folder} lack {len(missing)} tensors of {model.__name__}, such as {missing[0]}; give the "
            "text encoder that its config.json describes"
        )
    return encoder.eval()


def _opened(path: Path, read: Callable[[], T], remedy: str) -> T:
    try:
        return read()
    except Exception as error:  # the tokenizers library raises nothing narrower
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BundleError(f"cannot read {path}: {reason[:200]}; {remedy}") from error


def _check_tokens(ids: Tensor, encoder: PreTrainedModel, folder: Path) -> None:
    """Refuse tokens (1, L) that another encoder was trained with: its embedding would be a wrong one, silently."""
    size, end = encoder.config.vocab_size, encoder.config.eos_token_id
    if ids.shape[1] == 0 or int(ids.max()) >= size:
        largest = f"makes token {int(ids.max())}" if ids.shape[1] else "makes no tokens of the text"
        raise BundleError(
            f"the tokenizer in {folder} {largest}, the text encoder knows {size}; give the tokenizer that was "
            "published with it"
        )
    if end is not None and int(ids[0, -1]) != end:
        raise BundleError(
            f"the tokenizer in {folder} ends a text with token {int(ids[0, -1])}, the text encoder was trained with "
            f"{end} there; give the tokenizer that was published with it"
        )


def _require_sentencepiece(folder: Path) -> None:
    if lacking := [name for name in ("sentencepiece", "google.protobuf") if find_spec(name) is None]:
        packages = " ".join(name.replace("google.", "") for name in lacking)
        raise BundleError(
            f"{folder} has its tokenizer as {SENTENCEPIECE_FILE} only, and the library that reads it is missing; run: "
            f"pip install {packages}, or give a folder with {TOKENIZER_FILE}"
        )
