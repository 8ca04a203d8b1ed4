"""What the control half tells: the run state as a message, and its figures."""

from __future__ import annotations

from typing import Any

from video2act_msgs.msg import RunState as RunStateMessage
from video2act_ros.control.realtime import RealtimeReport
from video2act_ros.control.statistics import Summary
from video2act_ros.control.status import LoopMetrics, LoopStatus
from video2act_ros.ros.convert import ns_to_stamp


def run_state_message(status: LoopStatus, now_ns: int) -> RunStateMessage:
    """Return the run state as a message; ages that do not exist are -1."""
    ages = status.ages
    message = RunStateMessage(
        state=status.mode.value,
        reason=status.reason,
        source=status.source.value,
        speed_scale=status.speed_scale,
        emergency_stop=status.emergency_stop,
        epoch=status.epoch,
        epoch_stamp=ns_to_stamp(status.epoch_stamp_ns),
        episode=status.episode,
        episode_stamp=ns_to_stamp(status.episode_stamp_ns),
        instruction=status.instruction,
        chunk_age=-1.0 if ages.chunk_s is None else ages.chunk_s,
        joint_state_age=-1.0 if ages.joint_state_s is None else ages.joint_state_s,
        image_ages=list(ages.image_s),
        latent_age=-1.0 if ages.latent_s is None else ages.latent_s,
        execution_horizon=status.execution_horizon_s,
    )
    message.header.stamp = ns_to_stamp(now_ns)
    return message


def loop_figures(status: LoopStatus, metrics: LoopMetrics, period_s: float) -> dict[str, Any]:
    """Return what was measured since the activation; ages, reaction and seams only while the policy drove."""
    reaction = percentiles(metrics.reaction_s.summary())
    seams = metrics.seams.distributions.items()
    return {
        "state": status.mode.value,
        "source": status.source.value,
        "speed_scale": status.speed_scale,
        "period_s": period_s,
        "observation_age_s": percentiles(metrics.observation_age_s.summary()),
        "latent_age_s": percentiles(metrics.latent_age_s.summary()),
        "reaction_s": reaction,
        "seams": {name: percentiles(values.summary()) for name, values in seams} | {"reaction_s": reaction},
        "chunks_accepted": metrics.chunks_accepted,
        "chunks_refused": metrics.chunks_refused,
    }


def thread_figures(report: RealtimeReport) -> dict[str, Any]:
    """Return how well the control thread ticked."""
    return {
        "control_ticks": report.ticks,
        "missed_ticks": report.missed,
        "control_period_error_s": percentiles(report.period_error_s),
        "scheduling": report.scheduling,
    }


def percentiles(summary: Summary) -> dict[str, float | None]:
    """Return a summary as it stands in JSON."""
    return {"p50": summary.p50, "p99": summary.p99, "max": summary.maximum}
