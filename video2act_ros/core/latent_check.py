"""Which latents may be used for a chunk: those of this episode, this instruction and these features."""

from __future__ import annotations

from video2act_ros.core.other_clock import FUTURE_TOLERANCE_S, apart_words
from video2act_ros.core.run_context import RunContext
from video2act_ros.core.types import NS_PER_S, LatentPair


def latents_problem(
    latents: LatentPair | None, features_id: str, context: RunContext, now_ns: int
) -> str | None:
    """Return why latents may not be used, in words with what to do, or None.

    Their epoch says for which run they were made, their frames' stamps what they show: neither is believed alone.

    Args:
        latents: the newest of which both streams have arrived; None: none yet.
        features_id: the features that the policy was trained on.
        context: of the chunk to be made.
        now_ns: the ROS clock's time.
    """
    if latents is None:
        return "no latents yet; check that System 2 is active"
    spatial = latents.spatial
    if spatial.features_id != features_id:
        return (
            f"System 2 (bundle {spatial.bundle_id}) makes other features ({spatial.features_id}) "
            f"than this policy was trained on ({features_id}); give both nodes one bundle pair"
        )
    if spatial.epoch != context.epoch:
        return f"latents are of epoch {spatial.epoch}, now is {context.epoch}; waiting for System 2"
    if context.instruction and spatial.instruction != context.instruction:
        return (
            f"latents are of the instruction '{spatial.instruction}', now is '{context.instruction}'; "
            "waiting for System 2"
        )
    before_s = (context.episode_stamp_ns - latents.oldest_ns) / NS_PER_S
    if before_s > 0:
        far, remedy = apart_words(before_s, "waiting for System 2")
        return f"latents look back {far} to before the present episode; {remedy}"
    ahead_s = (latents.newest_ns - now_ns) / NS_PER_S
    if ahead_s > FUTURE_TOLERANCE_S:
        far, remedy = apart_words(ahead_s, "synchronise the clocks")
        return f"latents are stamped {far} in the future; {remedy}"
    return None
