"""Instructions are embedded by text encoders, or their embeddings imported, and added to a bundle."""

import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from video2act_ros.bundles import instructions
from video2act_ros.bundles.instructions import (
    add_instruction,
    language_of,
    pair_instructions,
    read_language,
    read_video_text,
    video_text_of,
)
from video2act_ros.bundles.load import load_encoder, load_policy
from video2act_ros.core.errors import BundleError

WORDS = ("<pad>", "</s>", "<unk>", "lift", "push", "the", "cube")
TEXT = "push the cube"
SHAPE = {"vocab_size": len(WORDS), "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}


def write_encoder(folder, model, config):
    """Save a tiny random text encoder with a tokenizer that splits at spaces."""
    torch.manual_seed(0)
    model(config(**SHAPE)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Folders of a tiny T5 and a tiny UMT5 encoder."""
    folder = tmp_path_factory.mktemp("text")
    return (
        write_encoder(folder / "t5", T5EncoderModel, T5Config),
        write_encoder(folder / "umt5", UMT5EncoderModel, UMT5Config),
    )


@pytest.fixture
def copy(bundle, tmp_path):
    """A copy of the tiny bundle, which takes up to three tokens of width 8."""
    return shutil.copytree(bundle, tmp_path / "copy")


def test_the_embedding_is_the_encoders_last_hidden_state(encoders):
    """Every token of the text with the end token, without padding."""
    t5, umt5 = encoders
    ids = torch.tensor([[WORDS.index(word) for word in (*TEXT.split(), "</s>")]])
    with torch.no_grad():
        language = T5EncoderModel.from_pretrained(t5).eval()(input_ids=ids).last_hidden_state[0]
        video = UMT5EncoderModel.from_pretrained(umt5).eval()(input_ids=ids).last_hidden_state[0]
    assert torch.equal(language_of(TEXT, t5), language)
    assert torch.equal(video_text_of(f"  {TEXT} ", umt5, 512), video)
    assert not torch.allclose(language, video)


def test_padding_does_not_change_a_video_text(encoders):
    """The released form, padded with a mask and zeroed behind the text, holds the same embedding."""
    _, umt5 = encoders
    ids = torch.tensor([[WORDS.index(word) for word in (*TEXT.split(), "</s>")] + [0] * 3])
    mask = (ids != 0).long()
    with torch.no_grad():
        model = UMT5EncoderModel.from_pretrained(umt5).eval()
        padded = model(input_ids=ids, attention_mask=mask).last_hidden_state[0, :4]
    assert torch.allclose(video_text_of(TEXT, umt5, 512), padded, atol=1e-6)


def test_a_long_text_is_cut(encoders):
    """The video model takes a fixed number of tokens; the text encoder's output never exceeds it."""
    assert len(video_text_of(" ".join(["cube"] * 50), encoders[1], 7)) == 7


def test_an_added_instruction_is_loaded(encoders, copy):
    """Both systems know the new text, and the old ones still."""
    before = load_policy(copy, "cpu")
    add_instruction(copy, "lift cube", *encoders)
    policy, encoder = load_policy(copy, "cpu"), load_encoder(copy, "cpu")
    assert list(policy.instructions) == [*before.instructions, "lift cube"] == list(encoder.instructions)
    assert torch.equal(policy.instructions["lift cube"], language_of("lift cube", encoders[0]))
    for text, embedding in before.instructions.items():
        assert torch.equal(policy.instructions[text], embedding)


@pytest.mark.parametrize("step", ["write_instructions", "file_sha256", "write_manifest", "the end"])
def test_a_crash_while_adding_leaves_a_whole_bundle(encoders, copy, monkeypatch, step):
    """At whatever step the program dies, the bundle loads, as it was or with the new text."""
    before = list(load_policy(copy, "cpu").instructions)

    class Crash(BaseException):
        """Ends the program as a killed process ends."""

    def crash(*arguments, **named):
        raise Crash

    if step == "the end":
        monkeypatch.setattr(Path, "unlink", crash)
    else:
        monkeypatch.setattr(instructions, step, crash)
    with pytest.raises(Crash):
        add_instruction(copy, "lift cube", *encoders)
    monkeypatch.undo()
    expected = [*before, "lift cube"] if step == "the end" else before
    assert (
        list(load_policy(copy, "cpu").instructions)
        == expected
        == list(load_encoder(copy, "cpu").instructions)
    )
    add_instruction(copy, "cube", *encoders)
    assert list(load_policy(copy, "cpu").instructions) == [*expected, "cube"]


def test_a_known_instruction_is_replaced(encoders, copy):
    """Embedding a text again does not list it twice."""
    known = list(load_policy(copy, "cpu").instructions)
    torch.save(torch.ones(2, 8), copy / "t5.pt")
    torch.save({"llama_vec": torch.ones(1, 2, 8)}, copy / "umt5.pkl")
    add_instruction(copy, known[1], copy / "t5.pt", copy / "umt5.pkl")
    loaded = load_policy(copy, "cpu")
    assert list(loaded.instructions) == known
    assert loaded.instructions[known[1]].eq(1).all()


def test_a_text_that_is_too_long_is_refused_and_changes_nothing(encoders, copy):
    """The bundle's limit is told, and the bundle still loads."""
    with pytest.raises(BundleError, match=r"\(4, 8\), the policy takes \(1 to 3, 8\)"):
        add_instruction(copy, TEXT, *encoders)
    load_policy(copy, "cpu")


@pytest.mark.parametrize("missing", ["--t5", "--umt5"])
def test_each_system_needs_its_embedding(encoders, copy, missing):
    """A bundle of both systems is not left with half an instruction."""
    t5, umt5 = (None, encoders[1]) if missing == "--t5" else (encoders[0], None)
    with pytest.raises(BundleError, match=missing):
        add_instruction(copy, "lift cube", t5, umt5)


def test_files_of_both_kinds_are_read(tmp_path):
    """The forms that the released tools write: dictionaries and bare tensors, padded or not."""
    values = torch.rand(1, 3, 8)
    torch.save({"name": "x", "instruction": TEXT, "embeddings": values}, tmp_path / "dict.pt")
    torch.save(values[0], tmp_path / "bare.pt")
    padded = torch.cat((values, torch.zeros(1, 9, 8)), dim=1)
    mask, pooler = torch.ones(1, 12), torch.zeros(1, 1, 1)
    content = {"llama_vec": padded, "llama_attention_mask": mask, "clip_l_pooler": pooler}
    torch.save(content, tmp_path / "video.pkl")
    text, language = read_language(tmp_path / "dict.pt")
    assert text == TEXT
    assert torch.equal(language, values[0])
    assert read_language(tmp_path / "bare.pt")[0] is None
    assert torch.equal(read_language(tmp_path / "bare.pt")[1], values[0])
    assert torch.equal(read_video_text(tmp_path / "video.pkl"), values[0])


def test_an_embedding_of_another_text_is_refused(tmp_path):
    """A file that names its own text is not taken for another's."""
    torch.save({"instruction": "lift", "embeddings": torch.rand(1, 3, 8)}, tmp_path / "t5.pt")
    with pytest.raises(BundleError, match="embedding of 'lift', not of 'push the cube'"):
        language_of(TEXT, tmp_path / "t5.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": torch.ones(2)}, r"no 'embeddings' of shape"),
        (torch.ones(2, 3, 4), r"no 'embeddings' of shape"),
        (torch.full((2, 3), float("nan")), "NaN or infinite"),
        ({"embeddings": print}, "would run code"),
    ],
)
def test_odd_embeddings_are_refused(tmp_path, content, message):
    """What is no finite embedding, or wants to run code, is one clear message."""
    torch.save(content, tmp_path / "t5.pt")
    with pytest.raises(BundleError, match=message):
        read_language(tmp_path / "t5.pt")


def test_missing_files_and_encoders_are_named(tmp_path):
    """A path that does not exist, and a folder without an encoder."""
    with pytest.raises(BundleError, match="nowhere"):
        language_of(TEXT, tmp_path / "nowhere")
    with pytest.raises(BundleError, match="no tokenizer in"):
        language_of(TEXT, tmp_path)


def test_texts_and_files_are_paired():
    """One file per instruction and system, in order; a text may come from its T5 file."""
    tokens = torch.ones(1, 2)
    both, policy_only = {1: True, 2: True}, {1: True, 2: False}
    (item,) = pair_instructions([], [(TEXT, tokens)], [tokens], both)
    assert item.text == TEXT
    assert pair_instructions(["a"], [(TEXT, tokens)], [], policy_only)[0].text == "a"
    assert pair_instructions([], [], [], both) == ()
    for texts, languages, videos in (
        (["a", "b"], [(None, tokens)], [tokens]),
        ([], [(None, tokens)], [tokens]),
        (["a", "a"], [(None, tokens)] * 2, [tokens] * 2),
    ):
        with pytest.raises(BundleError, match="instruction"):
            pair_instructions(texts, languages, videos, both)
