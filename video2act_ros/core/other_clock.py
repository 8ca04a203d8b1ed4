"""Stamps of another clock, told as such: nobody looks for a dead camera because its driver counts from 1970."""

from __future__ import annotations

PAST_S = 30 * 86400.0  # no input that stopped is shown for so long; a stamp further back is of another clock
FUTURE_TOLERANCE_S = 0.05  # clocks of two machines synchronised by NTP agree better than this
FUTURE_S = 60.0  # clocks that anybody meant to be equal are nearer

_SCALES = ((365.25 * 86400.0, "years"), (86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))


def is_other_clock(age_s: float) -> bool:
    """Return whether a stamp of that age [s], negative in the future, cannot be of the clock it is compared with."""
    return age_s > PAST_S or age_s < -FUTURE_S


def duration_words(duration_s: float) -> str:
    """Return a duration in the unit that suits it, such as 56.9 years or 0.35 s."""
    for seconds, unit in _SCALES:
        if duration_s >= 2 * seconds:
            return f"{duration_s / seconds:.1f} {unit}"
    return f"{duration_s:.2f} s"


def other_clock_words(age_s: float, source: str) -> str:
    """Return how far off a stamp is and what to do, such as "stamped 56.9 years ago, by another clock; let …".

    Args:
        age_s: now − the stamp; negative in the future.
        source: who stamps, as in "the camera driver of cam_high".
    """
    where = "ago" if age_s >= 0 else "in the future"
    return (
        f"stamped {duration_words(abs(age_s))} {where}, by another clock; let {source} stamp with the system's clock "
        "(or set use_sim_time on every node, or on none)"
    )


def apart_words(distance_s: float, remedy: str) -> tuple[str, str]:
    """Return how far two sources' stamps lie apart, and what to do: `remedy` unless they are of two clocks."""
    if abs(distance_s) <= FUTURE_S:
        return f"{distance_s:.2f} s", remedy
    return (
        duration_words(abs(distance_s)),
        "they are stamped by two clocks: let both drivers stamp with the system's clock "
        "(or set use_sim_time on every node, or on none)",
    )
