"""Drive the limiter with random targets for some minutes and count what leaves the joint limits.

Usage: python scripts/soak_limiter.py [--minutes 5] [--seed 0] [--joints 14]
"""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from video2act_ros.control.soak import KINDS, run_stream

TICKS = 1000  # of each stream


def main(
    minutes: Annotated[float, typer.Option(help="how long")] = 5.0,
    seed: Annotated[int, typer.Option(help="first seed; each stream takes the next")] = 0,
    joints: Annotated[int, typer.Option(help="joints per limiter")] = 14,
) -> None:
    """Soak the limiter; exit code 1 when anything left the limits."""
    console = Console()
    end_s = time.monotonic() + 60.0 * minutes
    streams = ticks = joint_ticks = violations = 0
    while time.monotonic() < end_s:
        kind = KINDS[streams % len(KINDS)]
        result = run_stream(seed + streams, kind, joints, TICKS)
        if result.violations:
            console.print(f"seed {seed + streams}, {kind}: {result.violations} violations")
        streams += 1
        ticks, joint_ticks = ticks + result.ticks, joint_ticks + result.joint_ticks
        violations += result.violations
    console.print(f"{streams} streams, {ticks} ticks, {joint_ticks} joint-ticks: {violations} violations")
    raise typer.Exit(code=1 if violations else 0)


if __name__ == "__main__":
    typer.run(main)
