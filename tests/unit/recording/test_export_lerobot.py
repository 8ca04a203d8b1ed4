"""Bags as LeRobot datasets: values, times, episodes, intervals, labels, refusals."""

import json
import os
from itertools import count, pairwise

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from made_bags import BEGIN_NS, SECOND, MadeBag, commanded_at, header, joints_at, message, picture

from video2act_ros.core.errors import BagError, DatasetError
from video2act_ros.recording.datasets.dataset_episodes import ExportOptions
from video2act_ros.recording.datasets.export_lerobot import export_lerobot

HZ = 10
CAMERAS = ("cam_high", "cam_wrist")


def two_episodes():
    """2 s in shadow; 2 s driven, half a second of it by somebody else, a success; 2 s of another task, a failure."""
    bag = MadeBag().cameras(0, 6).joints(0, 6).commands(0, 6)
    bag.run_states(0, 2, state="shadow").run_states(2, 3, episode=2)
    bag.run_states(3, 3.5, episode=2, source="external").run_states(3.5, 4, episode=2)
    bag.run_states(4, 6, episode=3, task="drop the cube")
    return bag.success(3.9).success(4.05, False)


@pytest.fixture
def export(tmp_path, robot_profile):
    """Write a bag and export it: export(bag, **options) returns the dataset's folder and the report."""

    numbers = count()

    def run(*bags, **options):
        paths = [bag.write(tmp_path / f"bag{next(numbers)}") for bag in bags]
        given = {"bags": tuple(paths), "profile": robot_profile, "rate_hz": HZ} | options
        folder = tmp_path / "dataset"
        return folder, export_lerobot(ExportOptions(**given), folder)

    return run


def rows_of(folder):
    return pq.read_table(folder / "data/chunk-000/file-000.parquet").to_pydict()


def episodes_of(folder):
    return pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


def in_policy_units(values):
    return np.array([values[0], values[1], values[2] / 0.04])


def test_rows_hold_joints_and_commands_of_their_time(export):
    """Joints interpolated at the images' capture, the command from the sample's time on, both in policy units."""
    folder, report = export(two_episodes())
    rows = rows_of(folder)
    assert report.episodes == 2
    assert len(rows["index"]) == report.frames == 40
    for row in range(40):
        time_ns = BEGIN_NS + 2 * SECOND + row * SECOND // HZ
        assert np.allclose(rows["action"][row], in_policy_units(commanded_at(time_ns)), atol=1e-6)
        assert np.allclose(rows["observation.state"][row], in_policy_units(joints_at(time_ns)), atol=1e-6)
    assert rows["index"] == list(range(40))
    assert rows["frame_index"] == [*range(20), *range(20)]
    assert np.allclose(rows["timestamp"], np.tile(np.arange(20) / HZ, 2))


def test_episodes_labels_and_tasks_are_kept(export):
    """Run state and success topic say where episodes begin and how they end; the instruction is the task."""
    folder, _ = export(two_episodes())
    rows, episodes = rows_of(folder), episodes_of(folder)
    assert rows["episode_index"] == [0] * 20 + [1] * 20
    assert [row for row, done in enumerate(rows["next.done"]) if done] == [19, 39]
    assert [row for row, success in enumerate(rows["next.success"]) if success] == [19]
    assert [episode["success"] for episode in episodes] == [True, False]
    assert [episode["tasks"] for episode in episodes] == [["lift the cube"], ["drop the cube"]]
    assert [(item["dataset_from_index"], item["dataset_to_index"]) for item in episodes] == [
        (0, 20),
        (20, 40),
    ]
    tasks = pq.read_table(folder / "meta/tasks.parquet").to_pydict()
    assert tasks["task_index"] == [0, 1]


def test_intervals_of_an_external_source_are_flagged(export):
    """What a person drove must not be taken for the policy's own."""
    folder, report = export(two_episodes())
    flagged = [row for row, flag in enumerate(rows_of(folder)["intervention"]) if flag]
    assert flagged == list(range(10, 15))
    assert report.external_frames == 5


def test_videos_hold_the_images_of_the_rows(export):
    """Each camera's file has one picture a row, at the row's time, of the newest image not after it."""
    folder, _ = export(two_episodes())
    for name in CAMERAS:
        file = folder / f"videos/observation.images.{name}/chunk-000/file-000.mp4"
        with av.open(str(file)) as container:
            frames = [
                (float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
            ]
        assert np.allclose([time for time, _ in frames], np.arange(40) / HZ, atol=1e-5)
        for row, (_, image) in enumerate(frames):
            wanted = picture(BEGIN_NS + 2 * SECOND + row * SECOND // HZ)
            assert np.abs(image.astype(int) - wanted).mean() < 6, row
    first, second = (
        episode["videos/observation.images.cam_high/from_timestamp"] for episode in episodes_of(folder)
    )
    assert (first, second) == (0.0, 2.0)


def test_statistics_are_those_of_the_rows(export):
    """Normalisation is learnt from them."""
    folder, _ = export(two_episodes())
    stats, rows = json.loads((folder / "meta/stats.json").read_text()), rows_of(folder)
    for name in ("action", "observation.state"):
        values = np.array(rows[name])
        assert np.allclose(stats[name]["mean"], values.mean(axis=0), atol=1e-6)
        assert np.allclose(stats[name]["std"], values.std(axis=0), atol=1e-6)
        assert np.allclose(stats[name]["q90"], np.quantile(values, 0.9, axis=0), atol=1e-6)
    image = stats["observation.images.cam_high"]
    assert np.shape(image["mean"]) == (3, 1, 1)
    pixels = (
        np.stack([picture(BEGIN_NS + 2 * SECOND + row * SECOND // HZ) for row in range(40)])[:, ::4, ::4]
        / 255
    )
    assert np.allclose(np.ravel(image["mean"]), pixels.mean(axis=(0, 1, 2)), atol=1e-6)
    assert np.allclose(np.ravel(image["std"]), pixels.std(axis=(0, 1, 2)), atol=1e-6)


def test_several_bags_make_one_dataset(export):
    """Indices run on."""
    folder, report = export(two_episodes(), two_episodes())
    assert report.episodes == 4
    info = json.loads((folder / "meta/info.json").read_text())
    assert (info["codebase_version"], info["total_frames"], info["total_tasks"]) == ("v3.0", 80, 2)
    bounds = [(item["dataset_from_index"], item["dataset_to_index"]) for item in episodes_of(folder)]
    assert all(before[1] == after[0] for before, after in pairwise(bounds))


def test_a_short_hold_does_not_end_an_episode_a_long_one_does(export):
    """A camera that hiccups must not tear an episode apart."""
    bag = MadeBag().cameras(0, 6).joints(0, 6).commands(0, 6).success(5.9)
    bag.run_states(0, 1).run_states(1, 1.3, state="holding").run_states(1.3, 2)
    bag.run_states(2, 4, state="holding").run_states(4, 6)
    folder, _ = export(bag)
    assert [episode["length"] for episode in episodes_of(folder)] == [20, 20]


def refused(export, tmp_path, *bags, **options):
    with pytest.raises((DatasetError, BagError)) as caught:
        export(*bags, **options)
    assert sorted(path.name for path in tmp_path.iterdir() if "dataset" in path.name) == []
    return str(caught.value)


def driven(seconds=2.0, **states):
    return MadeBag().joints(0, seconds).commands(0, seconds).run_states(0, seconds, **states)


def test_without_a_label_only_on_request(export, tmp_path):
    """And nothing half-written stays."""
    bag = driven().cameras(0, 2)
    assert "take it nevertheless with --partial" in refused(export, tmp_path, bag)
    folder, _ = export(driven().cameras(0, 2), partial=True)
    assert [episode["success"] for episode in episodes_of(folder)] == [None]
    assert not any(rows_of(folder)["next.success"])


def test_a_hole_is_refused_or_splits_the_episode_on_request(export, tmp_path):
    """A camera that stood still for a second: never repeated, never invented."""

    def torn():
        bag = driven(4.0).cameras(0, 4, only=("cam_high",)).success(3.9)
        return bag.cameras(0, 1.5, only=("cam_wrist",)).cameras(2.5, 4, only=("cam_wrist",))

    text = refused(export, tmp_path, torn())
    assert "has a hole" in text
    assert "cam_wrist" in text
    folder, report = export(torn(), partial=True)
    assert [episode["success"] for episode in episodes_of(folder)] == [None, True]
    assert report.holes > 0
    assert rows_of(folder)["frame_index"].count(0) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda bag: bag.run_states(0, 2, task=""), "give one with --task"),
        (lambda bag: bag.run_states(0, 2, state="shadow"), "was never engaged"),
    ],
)
def test_recordings_without_episodes_are_refused(export, tmp_path, change, words):
    """One line that names the remedy."""
    bag = MadeBag().cameras(0, 2).joints(0, 2).commands(0, 2).success(1.0)
    assert words in refused(export, tmp_path, change(bag))


def test_a_missing_camera_is_refused(export, tmp_path):
    """Every camera of the profile is needed."""
    assert "cam_wrist" in refused(export, tmp_path, driven().cameras(0, 2, only=("cam_high",)).success(1.0))


def test_missing_commands_are_refused(export, tmp_path):
    """Without them there is no action to learn."""
    bag = MadeBag().cameras(0, 2).joints(0, 2).run_states(0, 2).success(1.0)
    assert "holds no commands on commands" in refused(export, tmp_path, bag)


def test_the_task_is_found_in_the_chunks_where_no_run_state_names_one(export):
    """A stack that was started without an instruction: every chunk tells what it was made for."""
    folder, _ = export(with_chunks("lift the cube"))
    assert [episode["tasks"] for episode in episodes_of(folder)] == [["lift the cube"]]


def test_two_tasks_in_the_chunks_of_one_part_are_not_guessed(export, tmp_path):
    """The user knows which one it was."""
    text = refused(export, tmp_path, with_chunks("lift the cube", "drop the cube"))
    assert "several instructions (drop the cube; lift the cube)" in text
    assert "choose one with --task" in text


def with_chunks(*instructions):
    """A driven bag whose run states name no instruction, and chunks that do."""
    bag = MadeBag().cameras(0, 2).joints(0, 2).commands(0, 2).run_states(0, 2, task="").success(1.9)
    kind = "video2act_msgs/msg/ActionChunk"
    for number, instruction in enumerate(instructions):
        chunk = message(
            kind,
            joint_names=["shoulder", "elbow", "gripper"],
            horizon=1,
            positions=np.zeros(3),
            step=0.02,
            header=header(BEGIN_NS),
            instruction=instruction,
        )
        bag.add(BEGIN_NS + SECOND + number, "action_chunk", kind, chunk)
    return bag


def test_features_are_those_that_lerobot_records(export):
    """So that both can be merged: its names, the encoder's settings, no legacy key."""
    folder, _ = export(two_episodes())
    described = json.loads((folder / "meta/info.json").read_text())["features"]
    info = described["observation.images.cam_high"]["info"]
    assert info["is_depth_map"] is False
    assert "video.is_depth_map" not in info
    assert info["video.video_backend"] == "pyav"
    assert {"video.g", "video.crf", "video.preset", "video.fast_decode", "video.extra_options"} <= set(info)


def test_a_plain_dataset_has_no_features_of_our_own(tmp_path, robot_profile):
    """LeRobot merges equal features only, and its own recordings hold no labels."""
    bag = two_episodes().write(tmp_path / "bag")
    folder = tmp_path / "dataset"
    export_lerobot(ExportOptions(bags=(bag,), profile=robot_profile, rate_hz=HZ), folder, plain=True)
    wanted = {
        "observation.state",
        "action",
        "timestamp",
        "frame_index",
        "episode_index",
        "index",
        "task_index",
    }
    described = json.loads((folder / "meta/info.json").read_text())["features"]
    assert set(described) == wanted | {f"observation.images.{name}" for name in CAMERAS}
    assert set(rows_of(folder)) == wanted
    assert set(json.loads((folder / "meta/stats.json").read_text())) == set(described)


def test_the_codec_that_lerobot_records_by_default(tmp_path, robot_profile):
    """AV1 with its settings: the stream is what the dataset says, with one picture a row."""
    bag = two_episodes().write(tmp_path / "bag")
    options = ExportOptions(bags=(bag,), profile=robot_profile, rate_hz=HZ)
    folder = tmp_path / "dataset"
    before = os.sched_getscheduler(0)
    export_lerobot(options, folder, "av1")
    assert os.sched_getscheduler(0) == before  # the encoder would go before everything else, where it may
    info = json.loads((folder / "meta/info.json").read_text())["features"]["observation.images.cam_high"][
        "info"
    ]
    assert (info["video.codec"], info["video.crf"], info["video.preset"]) == ("av1", 30, 12)
    with av.open(str(folder / "videos/observation.images.cam_high/chunk-000/file-000.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec.canonical_name == info["video.codec"]
        assert stream.pix_fmt == info["video.pix_fmt"]
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert np.allclose(times, np.arange(40) / HZ, atol=1e-5)
    with pytest.raises(DatasetError, match="unknown codec 'vp9'; choose one of: h264, av1"):
        export_lerobot(options, tmp_path / "other", "vp9")


def test_counts_are_whole_numbers(export):
    """In the dataset's statistics and in each episode's."""
    folder, _ = export(two_episodes())
    stats = json.loads((folder / "meta/stats.json").read_text())
    assert all(isinstance(item["count"][0], int) for item in stats.values())
    assert all(isinstance(episode["stats/action/count"][0], int) for episode in episodes_of(folder))


def test_a_card_describes_the_dataset(export):
    """What hubs show and search: a head in YAML, tasks, recordings by name, structure."""
    folder, _ = export(two_episodes())
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    content = yaml.safe_load(head)
    assert content["task_categories"] == ["robotics"]
    assert "LeRobot" in content["tags"]
    assert content["configs"] == [{"config_name": "default", "data_files": "data/*/*.parquet"}]
    for words in (
        "2 episodes, 40 samples at 10 Hz (4.0 s)",
        "- lift the cube",
        "- drop the cube",
        "- bag0",
        "v3.0",
    ):
        assert words in text
    assert str(folder.parent) not in text


def test_an_existing_folder_stays(export, tmp_path):
    """Nobody's dataset is overwritten."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/mine").touch()
    with pytest.raises(DatasetError, match="exists; delete it or choose another"):
        export(two_episodes())
    assert (tmp_path / "dataset/mine").exists()
