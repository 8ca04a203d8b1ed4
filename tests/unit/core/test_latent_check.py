"""Latents of another scene are refused by their frames' stamps, whatever epoch they carry."""

from dataclasses import replace

import numpy as np
import pytest

from video2act_ros.core.latent_check import latents_problem
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import LatentPair, LatentStream, LatentTokens, seconds_to_ns

EPISODE_NS, NOW_NS = seconds_to_ns(100.0), seconds_to_ns(101.0)
CONTEXT = RunContext(7, EPISODE_NS, 3, EPISODE_NS, "lift")
STAMPS_NS = (EPISODE_NS, seconds_to_ns(100.5))


def pair(motion=None, **changes):
    spatial = LatentTokens(
        LatentStream.SPATIAL, STAMPS_NS[-1], 1, 7, np.zeros((2, 3), np.float32), "f", "b", STAMPS_NS, "lift"
    )
    both = replace(spatial, **changes)
    return LatentPair(both, replace(both, stream=LatentStream.MOTION, **(motion or {})))


def test_latents_of_this_episode_are_used():
    """Epoch, instruction, features and frames agree."""
    assert latents_problem(pair(), "f", CONTEXT, NOW_NS) is None
    assert latents_problem(pair(instruction="own"), "f", replace(CONTEXT, instruction=""), NOW_NS) is None


OLD = {"frame_stamps_ns": (EPISODE_NS - 1, STAMPS_NS[-1])}


@pytest.mark.parametrize(
    ("latents", "words"),
    [
        (None, "no latents yet"),
        (pair(features_id="g"), "give both nodes one bundle pair"),
        (pair(epoch=6), "latents are of epoch 6, now is 7"),
        (pair(instruction="drop"), "of the instruction 'drop', now is 'lift'"),
        (pair(**OLD), "before the present episode"),
        (pair(motion=OLD), "before the present episode"),
        (pair(stamp_ns=EPISODE_NS - 1, frame_stamps_ns=()), "before the present episode"),
        (pair(stamp_ns=0, frame_stamps_ns=()), "before the present episode"),
        (pair(stamp_ns=NOW_NS + seconds_to_ns(0.2)), "0.20 s in the future; synchronise"),
        (pair(stamp_ns=NOW_NS + seconds_to_ns(9e8)), "years in the future; they are stamped by two clocks"),
    ],
)
def test_all_others_are_refused_with_the_reason(latents, words):
    """One line says which, and what to do."""
    problem = latents_problem(latents, "f", CONTEXT, NOW_NS)
    assert words in problem
    assert "\n" not in problem
