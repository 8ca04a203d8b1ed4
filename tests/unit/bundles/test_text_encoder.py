"""Text encoders are read as they are published, or refused in one line that names what to do."""

import json
import shutil

import pytest
import torch
from transformers import (
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

from video2act_ros.bundles import text_encoder
from video2act_ros.bundles.text_encoder import encode_text
from video2act_ros.core.errors import BundleError

sentencepiece = pytest.importorskip("sentencepiece", reason="optional: pip install sentencepiece protobuf")

TEXT = "push the cube"
CORPUS = ("push the cube", "lift the red cube", "put the cube on the table", "the arm moves") * 20
SHAPE = {"vocab_size": 64, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
MODELS = {"t5": (T5EncoderModel, T5Config), "umt5": (UMT5EncoderModel, UMT5Config)}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A SentencePiece model with T5's special tokens."""
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "corpus.txt").write_text("\n".join(CORPUS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "spiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return folder / "spiece.model"


@pytest.fixture(params=list(MODELS))
def published(request, tmp_path, pieces):
    """An encoder's class and its folder with spiece.model alone."""
    torch.manual_seed(0)
    model, config = MODELS[request.param]
    folder = tmp_path / request.param
    model(config(**SHAPE)).save_pretrained(folder)
    shutil.copy(pieces, folder / "spiece.model")
    return model, folder


@pytest.fixture
def expected(published, pieces):
    """The embedding of TEXT: of its own pieces and the end token."""
    model, folder = published
    ids = sentencepiece.SentencePieceProcessor(model_file=str(pieces)).encode(TEXT)
    with torch.no_grad():
        output = model.from_pretrained(folder).eval()(input_ids=torch.tensor([[*ids, 1]]))
    return output.last_hidden_state[0]


def to_json(folder):
    """Replace spiece.model by the tokenizer.json of the same tokenizer."""
    T5Tokenizer.from_pretrained(folder).save_pretrained(folder / "made")
    shutil.copy(folder / "made" / "tokenizer.json", folder)
    shutil.rmtree(folder / "made")
    (folder / "spiece.model").unlink()


def to_pipeline(folder):
    """Move encoder and tokenizer apart, as diffusers' pipelines have them."""
    for part, names in (
        ("tokenizer", ["spiece.model"]),
        ("text_encoder", ["config.json", "model.safetensors"]),
    ):
        (folder / part).mkdir()
        for name in names:
            (folder / name).rename(folder / part / name)


def with_class(folder):
    """Name the tokenizer's class as older releases do."""
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))


@pytest.mark.parametrize("form", [lambda folder: None, to_json, to_pipeline, with_class])
def test_every_published_form_gives_the_same_embedding(published, expected, form):
    """Only spiece.model, only tokenizer.json, a pipeline's folders, with or without a tokenizer's configuration."""
    model, folder = published
    form(folder)
    torch.testing.assert_close(encode_text(TEXT, folder, model, 64), expected)


def spoil_json(folder):
    to_json(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["type"] = "Unigram3000"
    (folder / "tokenizer.json").write_text(json.dumps(content))


def pointer(name):
    return lambda folder: (folder / name).write_text(POINTER)


def remove(name):
    return lambda folder: (folder / name).unlink()


def truncate(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:40])


def other_tokens(folder):
    """Shrink the encoder, as if the tokenizer were of a larger one."""
    model, config = MODELS[folder.name]
    model(config(**SHAPE | {"vocab_size": 4})).save_pretrained(folder)


def no_end(folder):
    to_json(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def decoder_only(folder):
    from safetensors.torch import load_file, save_file

    T5ForConditionalGeneration(T5Config(**SHAPE)).save_pretrained(folder / "whole")
    weights = load_file(folder / "whole" / "model.safetensors")
    kept = {key: value for key, value in weights.items() if not key.startswith("encoder.block")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil_json, "newer format than tokenizers .* update them"),
        (pointer("spiece.model"), "spiece.model is a git-lfs pointer.*git lfs pull"),
        (pointer("model.safetensors"), "model.safetensors is a git-lfs pointer"),
        (pointer("tokenizer.json"), "tokenizer.json is a git-lfs pointer"),
        (remove("spiece.model"), "neither tokenizer.json nor spiece.model; copy it"),
        (remove("config.json"), "give a folder that transformers saved"),
        (remove("model.safetensors"), "give a folder that transformers saved"),
        (truncate("spiece.model"), "cannot read .*spiece.model: .*copy it again"),
        (truncate("model.safetensors"), "give a folder that transformers saved"),
        (other_tokens, "the text encoder knows 4; give the tokenizer"),
        (no_end, "ends a text with token"),
        (decoder_only, "lack .* tensors of U?M?T5EncoderModel"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(published, change, words):
    """It names the file and what to do; nothing is embedded wrongly instead."""
    model, folder = published
    change(folder)
    with pytest.raises(BundleError, match=words) as refused:
        encode_text(TEXT, folder, model, 64)
    assert "\n" not in str(refused.value)


def test_a_long_text_keeps_its_end(published):
    """Cut to the tokens that the model takes, the end token among them."""
    model, folder = published
    assert len(encode_text(" ".join([TEXT] * 20), folder, model, 7)) == 7


def test_a_missing_library_is_named(published, monkeypatch):
    """With the command that installs it."""
    monkeypatch.setattr(text_encoder, "find_spec", lambda name: None)
    with pytest.raises(BundleError, match="run: pip install sentencepiece protobuf"):
        encode_text(TEXT, published[1], published[0], 64)
