"""The command `video2act replay BAG --exact`: every chunk and System 2 update of a bag, computed again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from video2act_ros.cli.bag_reading import reading
from video2act_ros.cli.output import console, print_skipped, two_columns
from video2act_ros.core.whole_files import write_json
from video2act_ros.ros import environment


@dataclass(frozen=True, slots=True)
class ExactArguments:
    """The command line's words; empty ones are found in the bag or take the defaults."""

    robot: str
    namespace: str = ""
    system1_bundle: str = ""
    system2_bundle: str = ""
    threads: int | None = None
    partial: bool = False
    strict: bool = False


def exact_replay(bag: Path, report: Path | None, arguments: ExactArguments) -> int:
    """Compute the bag again, print what was found, write `report` as JSON; return 1 where something differs."""
    from video2act_ros.core.robot_profile import load_robot_profile
    from video2act_ros.recording.exact import exact

    given = [name for name in (arguments.system1_bundle, arguments.system2_bundle) if name]
    options = exact.ReplayOptions(
        bag=bag,
        profile=load_robot_profile(environment.resolve_profile(arguments.robot)),
        bundle_roots=(environment.share_path() / "models",),
        given_bundles=tuple(environment.resolve_bundle(name) for name in given),
        namespace=arguments.namespace or None,
        threads=arguments.threads,
        partial=arguments.partial,
        reading=reading(strict=arguments.strict),
    )
    with console.status(f"computing {bag} again"):
        content = exact.exact_replay(options)
    if report is not None:
        write_json(report, content)
    console.print(_summary(content))
    print_skipped(content["unusable"])
    return 0 if content["first_differing_stage"] is None else 1


def _summary(content: dict[str, Any]) -> Table:
    stage = content["first_differing_stage"]
    title = "equal, bit by bit" if stage is None else f"differs, first at the stage '{stage}'"
    rows = {
        "chunks": f"{content['chunks']} compared, {content['differing']['chunks']} differ",
        "System 2 updates": f"{content['latents']} compared, {content['differing']['latents']} differ",
        "largest difference": f"{content['max_abs_diff']:.3g}",
        "speed": f"{content['speed']:.1f} × real time ({content['bag_s']:.1f} s of recording)",
    }
    for kind, reasons in content["skipped"].items():
        for reason, count in reasons.items():
            rows[f"{kind} skipped"] = f"{count}: {reason}"
    return two_columns(title, rows)
