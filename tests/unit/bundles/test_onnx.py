"""System 1 as ONNX graphs equals torch, and graphs that do not are refused at export and at load."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from video2act_ros.bundles import self_test
from video2act_ros.bundles.bench_onnx import BACKENDS, compare_backends
from video2act_ros.bundles.export_onnx import export_onnx
from video2act_ros.bundles.load import load_policy
from video2act_ros.bundles.manifest import file_sha256, read_manifest
from video2act_ros.bundles.verify_onnx import (
    check_errors,
    measure_graph,
    measure_output,
    random_inputs,
)
from video2act_ros.core.errors import BundleError, ConfigurationError, InputError
from video2act_ros.system1.onnx_graphs import GRAPH_NAMES, policy_graphs
from video2act_ros.system1.onnx_session import OnnxOptions, OnnxSession, require

for _library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_library, reason="optional: pip install -r requirements/onnx.txt")

STALE = "onnx-00000000"


@pytest.fixture(scope="module")
def export(bundle, tmp_path_factory):
    """The tiny bundle with graphs, and the errors that its export told."""
    folder = tmp_path_factory.mktemp("onnx")
    source = shutil.copytree(bundle, folder / "source")
    (source / STALE).mkdir()
    (source / STALE / "step.onnx").write_bytes(b"old")
    edit_manifest(
        source,
        lambda c: c["files"].update({f"{STALE}/step.onnx": file_sha256(source / STALE / "step.onnx")}),
    )
    told = []
    errors = export_onnx(source, folder / "exported", report=told.append)
    assert list(errors) == told
    return folder / "exported", errors


@pytest.fixture(scope="module")
def policies(export):
    """The same policy with torch and with onnxruntime."""
    return load_policy(export[0], "cpu").policy, load_policy(export[0], "cpu", OnnxOptions()).policy


@pytest.fixture
def copy(export, tmp_path):
    """A copy of the exported bundle that a test may damage."""
    return shutil.copytree(export[0], tmp_path / "copy")


def edit_manifest(folder, change):
    path = folder / "manifest.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def every_file(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- what an export leaves ----------------------------------------------------------------------


def test_every_output_of_every_graph_is_measured_and_close(export):
    """Maximum error and cosine of each output, and of the whole prediction."""
    _folder, errors = export
    assert {error.graph for error in errors} == {*GRAPH_NAMES, "predict"}
    assert {error.output for error in errors if error.graph == "step"} == {"prediction"}
    assert max(error.relative for error in errors) < 1e-4
    assert min(error.cosine for error in errors) > 0.999999


def test_the_manifest_names_and_hashes_every_graph(export):
    """Weights lie beside the graphs and are hashed too; older graphs are gone."""
    folder, errors = export
    manifest = read_manifest(folder)
    section = manifest.system1.onnx
    assert set(section.graphs) == set(GRAPH_NAMES)
    present = {name for name in every_file(folder) if name != "manifest.yaml"}
    assert present == set(manifest.files)
    assert {f"{name}.data" for name in section.graphs.values()} <= present
    assert section.largest_error == max(error.relative for error in errors)
    assert not (folder / STALE).exists()


def test_nothing_of_the_exporting_machine_is_in_a_graph(export):
    """Source paths and stack traces are stripped."""
    graphs = [content for name, content in every_file(export[0]).items() if name.endswith(".onnx")]
    assert graphs
    assert not any(b".py" in content or b"/site-packages" in content for content in graphs)


def test_a_graph_that_differs_is_refused_and_leaves_nothing(bundle, tmp_path):
    """The threshold holds, in place and for a copy alike."""
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    before = every_file(folder)
    with pytest.raises(
        BundleError, match=r"graph 'vision' differs from torch at 'tokens'.*nothing was written"
    ):
        export_onnx(folder, max_error=0.0)
    with pytest.raises(BundleError, match="differs from torch"):
        export_onnx(folder, tmp_path / "out", max_error=0.0)
    assert every_file(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_place_of_an_export_must_be_free(bundle, tmp_path):
    """Nothing is overwritten."""
    with pytest.raises(BundleError, match="exists already"):
        export_onnx(bundle, tmp_path)


@pytest.mark.parametrize("graph", ["vision", "language", "video", "scene", "step"])
def test_verification_sees_other_weights_in_each_graph(export, graph):
    """A graph with other weights than torch's never passes for the same function."""
    policy = load_policy(export[0], "cpu").policy
    session = OnnxSession(next(export[0].glob(f"*/{graph}.onnx")), OnnxOptions())
    same = next(g for g in policy_graphs(policy) if g.name == graph)
    check_errors(measure_graph(same, policy.config, session))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.1)
    with pytest.raises(BundleError, match=f"graph '{graph}' differs"):
        check_errors(measure_graph(same, policy.config, session))


@pytest.mark.parametrize("actual", [torch.full((4,), float("nan")), torch.ones(3), -torch.ones(4)])
def test_nan_another_shape_and_another_sign_are_refused(actual):
    """No comparison lets something incomparable through."""
    with pytest.raises(BundleError, match="'step' differs from torch at 'prediction'"):
        check_errors([measure_output("step", "prediction", torch.ones(4), actual)])


def test_a_wrong_direction_is_refused_however_large_an_error_is_allowed():
    """The cosine has a bound of its own."""
    expected = torch.tensor([1.0, 1.0, 1.0, 1.0])
    check_errors([measure_output("step", "prediction", expected, 1.4 * expected)], max_error=0.5)
    turned = torch.tensor([1.4, 0.6, 1.4, 0.6])
    with pytest.raises(BundleError, match="cosine"):
        check_errors([measure_output("step", "prediction", expected, turned)], max_error=0.5)


# -- what a load makes of it --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_onnxruntime_predicts_what_torch_predicts(policies, seed):
    """The same chunk for any observation, latents, noise and length of the instruction."""
    config = policies[0].config
    inputs = random_inputs(config, seed + 100)
    inputs["input.language"] = torch.randn(1 + seed % config.max_lang, config.lang_dim)
    observation, latents = self_test.stored_observation(inputs)
    expected, actual = (
        policy.predict(observation, latents, inputs["input.language"], seed=seed) for policy in policies
    )
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_new_latents_and_a_new_instruction_are_noticed(policies):
    """Remembered keys never outlive what they were computed from."""
    exported = policies[1]
    first, second = (random_inputs(exported.config, seed) for seed in (1, 2))
    observation, latents = self_test.stored_observation(first)
    _, others = self_test.stored_observation(second)
    words, other_words = first["input.language"], second["input.language"]
    chunks = [
        exported.predict(observation, *condition)
        for condition in ((latents, words), (others, words), (latents, other_words), (latents, words))
    ]
    np.testing.assert_array_equal(chunks[0], chunks[3])
    assert np.abs(chunks[0] - chunks[1]).max() > 1e-4
    assert np.abs(chunks[0] - chunks[2]).max() > 1e-4


def test_a_tampered_graph_is_refused_by_its_hash(copy):
    """A changed file never drives."""
    path = next(copy.glob("onnx-*/step.onnx"))
    path.write_bytes(path.read_bytes()[:-1])
    for options in (None, OnnxOptions()):
        with pytest.raises(BundleError, match=r"step\.onnx is truncated or changed"):
            load_policy(copy, "cpu", options)


def test_a_graph_that_computes_something_else_fails_the_self_test(copy):
    """The self-test runs on the chosen backend: the graph's weights change, the bundle's do not."""
    path = next(copy.glob("onnx-*/step.onnx.data"))
    weights = np.frombuffer(path.read_bytes(), dtype=np.float32) * np.float32(1.1)
    path.write_bytes(weights.tobytes())
    name = str(path.relative_to(copy))
    edit_manifest(copy, lambda content: content["files"].update({name: file_sha256(path)}))
    load_policy(copy, "cpu")
    with pytest.raises(BundleError, match="self-test at stage 'chunk'"):
        load_policy(copy, "cpu", OnnxOptions())


def test_a_file_that_is_no_graph_is_one_message(copy):
    """What onnxruntime cannot open is told with the file's name."""
    path = next(copy.glob("onnx-*/step.onnx"))
    path.write_bytes(b"no graph")
    name = str(path.relative_to(copy))
    edit_manifest(copy, lambda content: content["files"].update({name: file_sha256(path)}))
    with pytest.raises(BundleError, match=r"cannot open .*step\.onnx"):
        load_policy(copy, "cpu", OnnxOptions())


def test_graphs_of_another_policy_are_refused(copy):
    """Weights that were replaced leave their graphs behind."""
    edit_manifest(copy, lambda content: content["system1"]["onnx"].update(source="0" * 16))
    with pytest.raises(BundleError, match="made of another policy; run: video2act export"):
        load_policy(copy, "cpu", OnnxOptions())


def test_a_graph_without_a_hash_is_refused(copy):
    """Only hashed files are opened."""
    edit_manifest(copy, lambda c: c["files"].pop(c["system1"]["onnx"]["graphs"]["step"]))
    with pytest.raises(BundleError, match=r"no sha256 of .*step\.onnx"):
        load_policy(copy, "cpu", OnnxOptions())


def test_a_bundle_without_graphs_names_the_command(bundle):
    """A bundle that was never exported loads with torch and says how to get graphs."""
    load_policy(bundle, "cpu")
    with pytest.raises(BundleError, match=r"no ONNX graphs of System 1; run: video2act export"):
        load_policy(bundle, "cpu", OnnxOptions())


def test_inputs_of_another_shape_are_refused(policies):
    """As with torch: an InputError, never a silent broadcast."""
    exported = policies[1]
    inputs = random_inputs(exported.config, 0)
    observation, latents = self_test.stored_observation(inputs)
    longer = torch.zeros(exported.config.max_lang + 1, exported.config.lang_dim)
    with pytest.raises(InputError, match="takes at most"):
        exported.predict(observation, latents, longer)
    _, fewer = self_test.stored_observation({**inputs, "input.spatial": inputs["input.spatial"][:-1]})
    with pytest.raises(InputError, match=r"input 'spatial' of the video graph has shape"):
        exported.predict(observation, fewer, inputs["input.language"])


def test_the_stored_chunk_is_reproduced(export):
    """The self-test's chunk, made by torch before the export, comes out of the graphs."""
    loaded = load_policy(export[0], "cpu", OnnxOptions())
    stored = load_file(export[0] / loaded.section.self_test)
    chunk = self_test.policy_stages(loaded.policy, stored)["chunk"]
    torch.testing.assert_close(chunk, stored["chunk"], rtol=0.0, atol=1e-5)


# -- providers and the library ------------------------------------------------------------------


def test_providers_are_checked_against_what_there_is():
    """Unknown and unavailable providers are told with those that are available."""
    assert OnnxOptions.parse(" CPU ", threads=2) == OnnxOptions(("CPU",), 2)
    with pytest.raises(ConfigurationError, match=r"'Metal'; choose one of: .*CPU"):
        OnnxOptions.parse("CPU,Metal")
    with pytest.raises(ConfigurationError, match=r"empty; name some of: .*CPU"):
        OnnxOptions.parse(" , ")
    if "CUDAExecutionProvider" not in require("onnxruntime").get_available_providers():
        with pytest.raises(ConfigurationError, match=r"CUDA is not in .* has: CPU; .*onnxruntime-gpu"):
            OnnxOptions.parse("CUDA,CPU")


def test_a_missing_library_names_the_remedy():
    """Nobody has to guess the package."""
    with pytest.raises(ConfigurationError, match=r"pip install -r requirements/onnx\.txt"):
        require("onnx_that_is_not_there")


def test_the_benchmark_compares_both_backends(export):
    """Every backend and case is timed, and both give the same chunks."""
    comparison = compare_backends(export[0], repeats=2)
    assert {times.backend for times in comparison.times} == set(BACKENDS)
    assert all(times.durations_s.shape == (2,) for times in comparison.times)
    assert comparison.largest_difference < 1e-5


@pytest.mark.parametrize("location", ["../../outside.data", "/etc/hostname", "other.data", "link.data"])
def test_a_graph_reads_no_weights_outside_of_its_bundle(export, tmp_path, location):
    """Its external data are files of the bundle whose hashes were compared; anything else is refused by name."""
    onnx = require("onnx")
    folder = shutil.copytree(export[0], tmp_path / "bundle")
    graph = folder / read_manifest(folder).system1.onnx.graphs["step"]
    (tmp_path / "outside.data").write_bytes(b"0" * 10_000_000)
    (graph.parent / "link.data").symlink_to(tmp_path / "outside.data")
    model = onnx.load(str(graph), load_external_data=False)
    entries = [entry for tensor in model.graph.initializer for entry in tensor.external_data]
    changed = next(entry for entry in entries if entry.key == "location")
    changed.value = location
    graph.write_bytes(model.SerializeToString())
    name = graph.relative_to(folder).as_posix()
    edit_manifest(folder, lambda content: content["files"].update({name: file_sha256(graph)}))
    with pytest.raises(BundleError, match="which is no file of the bundle") as refused:
        load_policy(folder, "cpu", OnnxOptions())
    assert location in str(refused.value)
