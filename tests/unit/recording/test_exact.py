"""Exact replay: equal bit by bit, and where not, the right stage is named."""

import copy
import shutil

import cv2
import numpy as np
import pytest
from lockstep import LockStep, record

from video2act_ros.bundles.manifest import MANIFEST_FILE
from video2act_ros.core.errors import BagError, BundleError
from video2act_ros.recording.exact.exact import ReplayOptions, exact_replay


@pytest.fixture
def replay(robot_profile, bundle):
    def run(folder, **options):
        return exact_replay(ReplayOptions(folder, robot_profile, (bundle.parent,), **options))

    return run


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("namespace", ["", "/left"])
def test_a_recording_is_computed_again_bit_by_bit(
    tmp_path, robot_profile, bundle, replay, storage, namespace
):
    """Zero difference on the same machine and backend, of every chunk and every update."""
    folder = record(tmp_path / "bag", robot_profile, bundle, storage=storage, namespace=namespace)
    report = replay(folder)
    assert report["first_differing_stage"] is None
    assert report["max_abs_diff"] == 0.0
    assert (report["chunks"], report["latents"]) == (8, 7)
    assert report["skipped"] == {"chunks": {}, "latents": {}}
    assert report["joints_not_checked"] == 0


def test_a_policy_that_looks_at_two_observations(tmp_path, robot_profile, two_images_bundle):
    """The earlier observation is found again by its own stamps."""
    folder = record(tmp_path / "bag", robot_profile, two_images_bundle)
    report = exact_replay(ReplayOptions(folder, robot_profile, (two_images_bundle.parent,)))
    assert report["chunks"] == 8
    assert report["max_abs_diff"] == 0.0
    assert report["first_differing_stage"] is None


def flip_image(message):
    message.data[len(message.data) // 2] ^= 0x80
    return message


def flip_seed(message):
    message.seed += 1
    return message


def flip_joint(message):
    message.joint_positions = np.nextafter(message.joint_positions, 10)
    return message


def flip_joint_state(message):
    message.position[0] = np.nextafter(message.position[0], 10)
    return message


def flip_latent(message):
    message.data[8] ^= 0x01
    return message


def flip_guidance(message):
    message.guidance = message.guidance + 0.01
    return message


def flip_action(message):
    message.positions[-1] = np.nextafter(message.positions[-1], 10)
    return message


@pytest.mark.parametrize(
    ("topic", "change", "stage"),
    [
        ("cam_high/image_raw", flip_image, "frames"),
        ("latents/motion", flip_latent, "latents"),
        ("latents/spatial", flip_latent, "latents"),
        ("arm/joint_states", flip_joint_state, "joints"),
        ("action_chunk", flip_joint, "joints"),
        ("action_chunk", flip_seed, "noise"),
        ("action_chunk", flip_guidance, "chunk"),
        ("action_chunk", flip_action, "chunk"),
    ],
)
def test_one_changed_bit_names_its_stage(tmp_path, robot_profile, bundle, replay, topic, change, stage):
    """Of an image, joint, latent, seed or action that differs by one bit the stage is named where it enters."""

    def edit(name, message):
        return change(copy.deepcopy(message)) if name == topic else message

    report = replay(record(tmp_path / "bag", robot_profile, bundle, edit=edit))
    assert report["first_differing_stage"] == stage
    assert report["first_difference"]["stage"] == stage
    if stage in ("latents", "noise", "chunk"):
        assert report["max_abs_diff"] > 0


def test_a_changed_image_of_system_1_alone_is_named(tmp_path, robot_profile, bundle, replay):
    """A camera that only System 1 looks at: the stage is the images, before what the model made of them."""

    def edit(name, message):
        if name != "cam_wrist/image_raw/compressed":
            return message
        pixels = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
        pixels[3, 3] ^= 0x80
        changed = copy.deepcopy(message)
        changed.data = cv2.imencode(".png", pixels)[1]
        return changed

    report = replay(record(tmp_path / "bag", robot_profile, bundle, edit=edit))
    assert report["first_differing_stage"] == "images"
    assert set(report["differing_stages"]) == {"images", "vision", "chunk"}
    assert report["differing"]["latents"] == 0


def test_what_is_not_in_the_bag_is_skipped_with_its_reason(tmp_path, robot_profile, bundle, replay):
    """Missing frames and latents are told and leave the rest compared."""
    gone = {"frames": 0}

    def edit(name, message):
        late = 20 < gone["frames"] < 30
        if name == "cam_high/image_raw":
            gone["frames"] += 1
        return None if late and name == "cam_high/image_raw" else message

    report = replay(record(tmp_path / "bag", robot_profile, bundle, 3.0, edit=edit))
    assert report["skipped"]["chunks"]["frames not in the bag"] >= 1
    assert report["skipped"]["latents"]["frames not in the bag"] >= 1
    assert report["chunks"] >= 6
    assert report["first_differing_stage"] is None


def test_images_that_the_recorder_compressed_are_skipped(tmp_path, robot_profile, bundle):
    """A JPEG of a camera that the systems saw raw cannot give the same bits: skipped, not called different."""
    seen = robot_profile.model_copy(
        update={
            "cameras": tuple(
                camera.model_copy(update={"transport": "compressed"}) for camera in robot_profile.cameras
            )
        }
    )
    folder = record(tmp_path / "bag", seen, bundle)
    with pytest.raises(BagError, match="compressed with loss"):
        exact_replay(ReplayOptions(folder, robot_profile, (bundle.parent,)))


def test_swaps_episodes_and_epochs_inside_a_bag(tmp_path, robot_profile, bundle, other_bundle):
    """Each chunk is computed with the bundle that made it, whatever came before."""
    stack = LockStep(tmp_path / "bag", robot_profile, bundle)
    stack.run(1.0)
    stack.use(other_bundle)
    stack.epoch, stack.instruction = 6, "drop the cube"
    stack.run(1.5)
    stack.use(bundle)
    stack.epoch = 7
    stack.run(1.0)
    stack.close()
    options = ReplayOptions(tmp_path / "bag", robot_profile, (bundle.parent, other_bundle.parent))
    report = exact_replay(options)
    assert report["first_differing_stage"] is None
    assert report["max_abs_diff"] == 0.0
    assert report["chunks"] == 14
    missing = exact_replay(ReplayOptions(tmp_path / "bag", robot_profile, (), (bundle,)))
    (reason,) = missing["skipped"]["latents"]
    assert reason.startswith("bundle tiny@")
    assert "was not found" in reason or "is here with another hash" in reason


def test_a_bundle_that_was_changed_after_the_recording_is_named(tmp_path, robot_profile, bundle):
    """It is here, but not as it was: another remedy than for one that is nowhere."""
    folder = record(tmp_path / "bag", robot_profile, bundle, 1.0)
    changed = shutil.copytree(bundle, tmp_path / "models" / bundle.name)
    manifest = changed / MANIFEST_FILE
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(
        BagError, match=r"bundle tiny@\w+ is here with another hash \(tiny@\w+\): it was changed"
    ):
        exact_replay(ReplayOptions(folder, robot_profile, (changed.parent,)))
    with pytest.raises(BagError, match=r"bundle tiny@\w+ was not found"):
        exact_replay(ReplayOptions(folder, robot_profile, (tmp_path / "nowhere",)))


def test_a_given_bundle_must_have_made_the_bag(tmp_path, robot_profile, bundle, sibling_bundle, replay):
    """The id must match: another bundle is for `compare`."""
    folder = record(tmp_path / "bag", robot_profile, bundle, 1.0)
    with pytest.raises(BundleError, match=r"was made with tiny@.*video2act compare"):
        replay(folder, given_bundles=(sibling_bundle,))


def test_a_jump_of_the_clock_is_refused_unless_a_part_is_asked_for(tmp_path, robot_profile, bundle, replay):
    """One clear message; --partial replays it nevertheless."""
    stack = LockStep(tmp_path / "bag", robot_profile, bundle)
    stack.run(1.0)
    stack.offset_ns = -30 * 10**9
    stack.history.clear()
    stack.run(1.0)
    stack.close()
    with pytest.raises(BagError, match=r"jumps by -29\.99 s after 1\.0 s.*--partial"):
        replay(tmp_path / "bag")
    report = replay(tmp_path / "bag", partial=True)
    assert report["clock_jumps"] == 2  # of both joint-state topics
    assert report["max_abs_diff"] == 0.0


def test_another_robots_joints_are_refused(tmp_path, robot_profile, bundle, replay):
    """The profile must be the recorded robot's."""

    def edit(name, message):
        if name.endswith("joint_states"):
            message = copy.deepcopy(message)
            message.name = [f"panda_{name}" for name in message.name]
        return message

    folder = record(tmp_path / "bag", robot_profile, bundle, 1.0, edit=edit)
    with pytest.raises(
        BagError, match=r"carries no positions of shoulder.*panda_shoulder.*choose the robot profile"
    ):
        replay(folder)
