"""Exact replay: computes every chunk and every System 2 update of a bag again and compares bit by bit."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from video2act_ros.core.errors import BagError, BundleError
from video2act_ros.core.robot_profile import RobotProfile
from video2act_ros.core.stages import CHUNK, JOINTS, LATENTS, PIPELINE
from video2act_ros.core.types import NS_PER_S, ActionChunk, FloatArray, LatentStream, LatentTokens
from video2act_ros.recording.exact.cases import Cameras, CaseReader, ChunkCase, SkippedCase, UpdateCase
from video2act_ros.recording.exact.joint_check import JointCheck, JointFinding
from video2act_ros.recording.exact.recompute import (
    Bundles,
    Compute,
    find_bundles,
    recompute_chunk,
    recompute_update,
    set_threads,
)
from video2act_ros.recording.reading.bag import FORGIVING, Bag, Reading, open_bag
from video2act_ros.recording.reading.clock import check_clock
from video2act_ros.recording.reading.parameters import recorded_compute
from video2act_ros.recording.reading.streams import RobotBag


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay and with what.

    `bundle_roots` are folders of bundles, `given_bundles` bundles; `namespace` of the recorded stack, None finds
    it; `threads` are CPU threads of both systems, None takes those of the recorded nodes. With `partial` a bag
    whose clock jumped is replayed nevertheless.
    """

    bag: Path
    profile: RobotProfile
    bundle_roots: tuple[Path, ...]
    given_bundles: tuple[Path, ...] = ()
    namespace: str | None = None
    threads: int | None = None
    partial: bool = False
    reading: Reading = FORGIVING


@dataclass(slots=True)
class Difference:
    """Where the first chunk or update departs: its earliest stage, and which one it is."""

    stage: str
    kind: str
    sequence: int
    stamp_ns: int


@dataclass(slots=True)
class Tally:
    """What was compared so far."""

    chunks: int = 0
    latents: int = 0
    differing: Counter[str] = field(default_factory=Counter)  # by kind: chunks, latents
    max_abs_diff: dict[str, float] = field(default_factory=lambda: {"chunks": 0.0, "latents": 0.0})
    stages: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    joints_unknown: int = 0
    first: Difference | None = None
    compute_s: dict[str, float] = field(default_factory=lambda: {"chunks": 0.0, "latents": 0.0})

    def compared(
        self, kind: str, difference: float, stages: set[str], record: ActionChunk | LatentTokens
    ) -> None:
        """Take one comparison: its largest difference and the stages that differ."""
        self.max_abs_diff[kind] = max(self.max_abs_diff[kind], difference)
        if not stages:
            return
        self.differing[kind] += 1
        self.stages.update(stages)
        earliest = min(stages, key=PIPELINE.index)
        if self.first is None or PIPELINE.index(earliest) < PIPELINE.index(self.first.stage):
            self.first = Difference(earliest, kind, record.sequence, record.stamp_ns)


class ExactReplay:
    """Compares one bag's cases with what its bundles compute here."""

    def __init__(self, bundles: Bundles, joints: JointCheck) -> None:
        self._bundles = bundles
        self._joints = joints
        self.tally = Tally()

    def run(self, source: RobotBag) -> None:
        """Compare everything in the bag."""
        for case in CaseReader(source, recorded_cameras(self._bundles)).cases():
            if isinstance(case, SkippedCase):
                self.tally.skipped[case.kind, case.reason] += 1
                continue
            kind = "latents" if isinstance(case, UpdateCase) else "chunks"
            start_s = time.monotonic()
            if isinstance(case, UpdateCase):
                self._compare_update(case)
            else:
                self._compare_chunk(case)
            self.tally.compute_s[kind] += time.monotonic() - start_s

    def _compare_update(self, case: UpdateCase) -> None:
        recorded = case.latents.spatial
        loaded = self._bundles.encoder(recorded.bundle_id)
        set_threads(self._bundles.compute.system2_threads)
        tokens, stages = recompute_update(loaded, case.frames, recorded.instruction)
        pairs = (
            (case.latents.spatial.tokens, tokens[LatentStream.SPATIAL]),
            (case.latents.motion.tokens, tokens[LatentStream.MOTION]),
        )
        difference = max(_difference(first, second) for first, second in pairs)
        differing = _differing(recorded.checksums, stages.checksums)
        if difference:
            differing.add(LATENTS)
        self.tally.latents += 1
        self.tally.compared("latents", difference, differing, recorded)

    def _compare_chunk(self, case: ChunkCase) -> None:
        chunk = case.chunk
        loaded = self._bundles.policy(chunk.bundle_id)
        set_threads(self._bundles.compute.system1_threads)
        positions, stages = recompute_chunk(loaded, case)
        difference = _difference(chunk.positions, positions)
        differing = _differing(chunk.checksums, stages.checksums)
        if difference:
            differing.add(CHUNK)
        finding = self._joints.check(chunk.stamp_ns, chunk.joint_stamp_ns, chunk.joints)
        if finding is JointFinding.DIFFERENT:
            differing.add(JOINTS)
        self.tally.joints_unknown += finding is JointFinding.UNKNOWN
        self.tally.chunks += 1
        self.tally.compared("chunks", difference, differing, chunk)


def exact_replay(options: ReplayOptions) -> dict[str, Any]:
    """Compute a bag's chunks and System 2 updates again and return the report.

    `chunks` and `latents` count what was compared, `max_abs_diff` is over both, `first_differing_stage` names the
    earliest stage (`core/stages.PIPELINE`) at which any of them departs, None where all are equal.

    Raises:
        BagError: the bag cannot be read, lacks a needed topic, its clock jumped, or nothing could be compared.
        BundleError: a given bundle made nothing in this bag.
    """
    started_s = time.monotonic()
    with open_bag(options.bag, options.reading) as bag:
        source = RobotBag(bag, options.profile, options.namespace)
        source.require("action_chunk", *(f"latents/{stream.value}" for stream in LatentStream))
        joints = _read_joints(source)
        jumps = check_clock(source, options.partial)
        compute = recorded_compute(source, options.threads)
        bundles = Bundles(find_bundles(options.bundle_roots, options.given_bundles), compute)
        _check_given(options.given_bundles, source)
        replay = ExactReplay(bundles, joints)
        replay.run(source)
        return _report(bag, replay.tally, compute, jumps, time.monotonic() - started_s)


def recorded_cameras(bundles: Bundles) -> Cameras:
    """Return which cameras the bundles that made the bag look at."""

    def of_chunk(chunk: ActionChunk) -> tuple[str, ...]:
        manifest = bundles.manifest(chunk.bundle_id)
        return () if manifest is None or manifest.system1 is None else manifest.system1.policy.images.cameras

    def of_update(tokens: LatentTokens) -> str:
        manifest = bundles.manifest(tokens.bundle_id)
        return "" if manifest is None or manifest.system2 is None else manifest.system2.encoder.camera

    return Cameras(of_chunk, of_update, tuple(bundles.folders))


def _read_joints(source: RobotBag) -> JointCheck:
    joints = JointCheck(source.profile)
    for item in source.joint_messages():
        joints.add(*item.value)
    return joints


def _check_given(given: Iterable[Path], source: RobotBag) -> None:
    """Refuse a given bundle that made neither a chunk nor an update of the bag."""
    wanted = find_bundles((), given)
    if not wanted:
        return
    used = {
        item.value.bundle_id
        for item in source.computed()
        if isinstance(item.value, (ActionChunk, LatentTokens))
    }
    for identity, folder in wanted.items():
        if identity not in used:
            raise BundleError(
                f"bundle {folder} is {identity}, but bag {source.bag.path} was made with {', '.join(sorted(used))}; "
                "give that one, or compare them: video2act compare"
            )


def _difference(recorded: FloatArray, computed: FloatArray) -> float:
    """Return the largest absolute difference; infinite where the shapes differ."""
    if recorded.shape != computed.shape:
        return float("inf")
    return float(np.max(np.abs(recorded.astype(np.float64) - computed), initial=0.0))


def _differing(recorded: dict[str, int], computed: dict[str, int]) -> set[str]:
    """Return the stages of which both know a checksum, and not the same."""
    return {stage for stage, value in computed.items() if recorded.get(stage, value) != value}


def _report(bag: Bag, tally: Tally, compute: Compute, jumps: int, wall_s: float) -> dict[str, Any]:
    skipped: dict[str, dict[str, int]] = {"chunks": {}, "latents": {}}
    for (kind, reason), count in sorted(tally.skipped.items()):
        skipped[kind][reason] = count
    if not tally.chunks + tally.latents:
        reasons = "; ".join(f"{count} {kind}: {reason}" for (kind, reason), count in tally.skipped.items())
        reasons = "; ".join(filter(None, (reasons, *bag.skipped.told(bag.start_ns))))
        raise BagError(
            f"nothing in bag {bag.path} could be computed again ({reasons or 'it holds no chunks'})"
        )
    bag_s = (bag.end_ns - bag.start_ns) / NS_PER_S
    return {
        "bag": str(bag.path),
        "chunks": tally.chunks,
        "latents": tally.latents,
        "max_abs_diff": max(tally.max_abs_diff.values()),
        "first_differing_stage": tally.first.stage if tally.first else None,
        "first_difference": None
        if tally.first is None
        else {
            "stage": tally.first.stage,
            "kind": tally.first.kind,
            "sequence": tally.first.sequence,
            "stamp_ns": tally.first.stamp_ns,
        },
        "max_abs_diff_by_kind": tally.max_abs_diff,
        "differing": {kind: tally.differing[kind] for kind in ("chunks", "latents")},
        "differing_stages": {stage: tally.stages[stage] for stage in PIPELINE if tally.stages[stage]},
        "skipped": skipped,
        "unusable": bag.skipped.told(bag.start_ns),
        "joints_not_checked": tally.joints_unknown,
        "clock_jumps": jumps,
        "bag_s": bag_s,
        "wall_s": wall_s,
        "compute_s": tally.compute_s,
        "speed": bag_s / max(wall_s, 1e-9),
        "threads": {"system1": compute.system1_threads, "system2": compute.system2_threads},
        "backend": compute.backend,
        "torch": torch.__version__,
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }
