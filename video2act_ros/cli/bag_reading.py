"""How the commands read bags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video2act_ros.core.types import CameraFrame
    from video2act_ros.recording.reading.bag import Reading


def reading(*, strict: bool = False) -> Reading:
    """Return how to read a bag: as the live nodes do, with cv_bridge for images that ours cannot convert."""
    from video2act_ros.recording.reading.bag import Reading

    return Reading(strict, _by_cv_bridge)


def _by_cv_bridge(message: Any, camera: str) -> CameraFrame:  # a message of rosbags' classes
    try:
        from video2act_ros.ros.bridge_images import frame_by_cv_bridge
    except ImportError as error:
        from video2act_ros.core.errors import InputError

        raise InputError(
            f"camera '{camera}' holds the encoding '{message.encoding}', which needs cv_bridge and ROS ({error})"
        ) from error
    return frame_by_cv_bridge(message, camera)
