import pytest

from video2act_ros.control.watchdog import InputAges, Watchdog
from video2act_ros.core.types import seconds_to_ns

GOOD = {"chunk_s": 0.2, "joint_state_s": 0.02, "image_s": (0.05, 0.02), "latent_s": 0.4}


def test_fresh_inputs_raise_nothing(profile):
    """No reason, no hold."""
    assert Watchdog(profile.thresholds).check(InputAges(**GOOD)) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chunk_s": 0.51}, "chunk of this epoch too old (0.51 s, limit 0.5 s); check System 1"),
        ({"chunk_s": None}, "no chunk of this epoch yet; check System 1"),
        ({"joint_state_s": 0.11}, "joint state too old (0.11 s, limit 0.1 s); check the robot driver"),
        ({"joint_state_s": None}, "no joint state yet; check the robot driver"),
        ({"joint_state_s": -1.0}, "joint state stamped 1.00 s in the future; synchronise the clocks"),
        ({"image_s": (0.01, 0.31)}, "camera image of the newest chunk too old (0.31 s, limit 0.3 s)"),
        ({"latent_s": 1.2}, "latents of the newest chunk too old (1.20 s, limit 1 s); check System 2"),
    ],
)
def test_each_old_input_is_named_with_its_limit_and_remedy(profile, changes, words):
    """Every row of the table gives one clear reason."""
    (reason,) = Watchdog(profile.thresholds).check(InputAges(**GOOD | changes))
    assert words in reason


def test_ages_come_from_stamps(make_chunk, make_joints):
    """Chunk and joints count from now, images and latents from the observation."""
    ages = InputAges.at(seconds_to_ns(10.3), make_chunk(10.0, [0.0] * 4, latent_s=9.2), make_joints(10.28))
    assert ages.chunk_s == pytest.approx(0.3)
    assert ages.joint_state_s == pytest.approx(0.02)
    assert ages.latent_s == pytest.approx(0.8)
    assert ages.image_s == (0.0,)
