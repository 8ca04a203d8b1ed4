"""The figures of a comparison as SVG text. matplotlib is optional."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from video2act_ros.core.errors import ConfigurationError
from video2act_ros.recording.compare.comparison import (
    Comparison,
    Run,
    divergence,
    errors,
    root_mean_square,
    samples_at,
    vision_similarity,
)

RECORDED = "#5b6472"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # distinguishable also by the colour-blind
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3af",
    "axes.labelcolor": "#3b4350",
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": "#1c2330",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ee",
    "xtick.color": "#5b6472",
    "ytick.color": "#5b6472",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "video2act",
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def pyplot() -> Any:
    """Return matplotlib's pyplot, set up to draw without a screen.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigurationError(
            "video2act compare draws with matplotlib, which is not installed; run: "
            "pip install -c requirements/constraints.txt -r requirements/analysis.txt"
        ) from error
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(_STYLE)
    return plt


def colour(index: int) -> str:
    """Return the colour of the bundle with that index."""
    return COLOURS[index % len(COLOURS)]


def with_ids_of_its_own(markup: str, prefix: str) -> str:
    """Return a part of a page all of whose ids, and references to them, begin with `prefix`.

    matplotlib numbers the parts of each figure from 1: several figures of one page would share their ids.
    """
    markup = re.sub(r'(\bid=")([^"]+)(")', rf"\1{prefix}\2\3", markup)
    return re.sub(r'((?:\bhref="|url\()#)([^")]+)', rf"\1{prefix}\2", markup)


def _svg(figure: Any) -> str:
    """Return a figure as an <svg> element without prolog, and forget it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=_NO_METADATA, transparent=True)
    pyplot().close(figure)
    content = text.getvalue()
    content = content[content.index("<svg") :]
    return re.sub(r'<svg ([^>]*?)width="[^"]*pt" height="[^"]*pt"', r"<svg \1", content, count=1)


def _all_runs(comparison: Comparison) -> list[tuple[Run, str]]:
    runs = [(run, colour(index)) for index, run in enumerate(comparison.runs)]
    return [(comparison.recorded, RECORDED), *runs]


def joint_errors(comparison: Comparison) -> str:
    """Draw each joint's RMS error against what was measured at the time that each action is due."""
    plt = pyplot()
    rows = _all_runs(comparison)
    figure, axes = plt.subplots(figsize=(10, 3.4), layout="constrained")
    places, width = np.arange(len(comparison.joint_names)), 0.8 / len(rows)
    for index, (run, shade) in enumerate(rows):
        values = root_mean_square(errors(comparison, run, comparison.measured), (0, 1))
        axes.bar(
            places + (index - (len(rows) - 1) / 2) * width, values, width * 0.92, color=shade, label=run.label
        )
    names = [name.replace("_", " ") for name in comparison.joint_names]
    axes.set_xticks(places, names, rotation=35, ha="right")
    axes.set_ylabel("RMS error [rad; gripper 0..1]")
    axes.grid(axis="x", visible=False)
    figure.legend(ncols=len(rows), loc="outside upper left")
    return _svg(figure)


def horizon(comparison: Comparison) -> str:
    """Draw how the error grows along the chunk, and how far the bundles' chunks lie apart."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    for run, shade in _all_runs(comparison):
        error = root_mean_square(errors(comparison, run, comparison.measured), (0, 2))
        left.plot(run.action_times_s, error, color=shade, label=run.label)
    left.set(
        title="Error against the measured joints",
        xlabel="time after the observation [s]",
        ylabel="RMS over joints",
    )
    left.legend()
    for label, first, second, shade in pairs(comparison):
        apart = root_mean_square(divergence(first, second), (0, 2))
        right.plot(first.action_times_s[: len(apart)], apart, color=shade, label=label)
    right.set(title="Distance of the chunks from each other", xlabel="time after the observation [s]")
    right.legend()
    for axes in (left, right):
        axes.set_ylim(bottom=0)
    return _svg(figure)


def pairs(comparison: Comparison) -> list[tuple[str, Run, Run, str]]:
    """Return what is compared with what: each bundle with the recording, then the bundles with each other."""
    found = [
        (f"{run.label} – recorded", comparison.recorded, run, colour(index))
        for index, run in enumerate(comparison.runs)
    ]
    for index, first in enumerate(comparison.runs):
        for second in comparison.runs[index + 1 :]:
            found.append((f"{second.label} – {first.label}", first, second, "#1c2330"))
    return found


def over_time(comparison: Comparison, marks: Sequence[int]) -> str:
    """Draw the divergence of every chunk along the bag; `marks` are chunks shown elsewhere."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(10, 2.8), layout="constrained")
    for label, first, second, shade in pairs(comparison):
        apart = root_mean_square(divergence(first, second), (1, 2))
        axes.plot(comparison.times_s, apart, color=shade, label=label, linewidth=1.2)
    for number, index in enumerate(marks, 1):
        axes.axvline(comparison.times_s[index], color="#9aa3af", linestyle=":", linewidth=1)
        axes.annotate(
            str(number),
            (comparison.times_s[index], 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=8.5,
            color="#3b4350",
        )
    axes.set(xlabel="time in the bag [s]", ylabel="RMS distance of chunks")
    axes.set_ylim(bottom=0)
    figure.legend(ncols=3, loc="outside upper right")
    return _svg(figure)


def traces(comparison: Comparison, index: int) -> str:
    """Draw the joints of one chunk on which the runs differ most, with what was measured and commanded."""
    plt = pyplot()
    spread = sum(
        np.abs(divergence(first, second)[index]).max(axis=0) for _, first, second, _ in pairs(comparison)
    )
    joints = np.sort(np.argsort(spread)[::-1][:6])
    figure, rows = plt.subplots(2, 3, figsize=(10, 4.2), layout="constrained", squeeze=False)
    times_s = comparison.recorded.action_times_s
    times_ns = comparison.start_ns + np.round((comparison.times_s[index] + times_s) * 1e9).astype(np.int64)
    known = (
        ("measured", samples_at(comparison.measured, times_ns), "-"),
        ("commanded", samples_at(comparison.commanded, times_ns), ":"),
    )
    for axes, joint in zip(rows.flat, joints, strict=False):
        for label, values, line in known:
            if values.shape[-1] and np.isfinite(values[:, joint]).any():
                axes.plot(
                    times_s, values[:, joint], color="#1c2330", linestyle=line, linewidth=1.2, label=label
                )
        for run, shade in _all_runs(comparison):
            line = "--" if run is comparison.recorded else "-"
            axes.plot(
                run.action_times_s, run.chunks[index][:, joint], color=shade, linestyle=line, label=run.label
            )
        axes.set_title(comparison.joint_names[joint].replace("_", " "))
    for axes in list(rows.flat)[len(joints) :]:
        axes.set_visible(False)
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    return _svg(figure)


def similarity(comparison: Comparison) -> str:
    """Draw the cosine of both latent streams with the recorded ones, and of the image tokens between bundles."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained")
    for index, run in enumerate(comparison.runs):
        for stream, line in (("spatial", "-"), ("motion", "--")):
            values = run.similarity[stream]
            if values and np.isfinite(values).any():
                left.plot(
                    comparison.update_times_s,
                    values,
                    line,
                    color=colour(index),
                    label=f"{run.label}, {stream}",
                )
    left.set(title="Latents: cosine with the recorded", xlabel="time in the bag [s]")
    for index, run in enumerate(comparison.runs[1:], 1):
        values = vision_similarity(comparison.runs[0], run)
        if np.isfinite(values).any():
            right.plot(
                comparison.times_s,
                values,
                color=colour(index),
                label=f"{run.label} – {comparison.runs[0].label}",
            )
    right.set(title="Image tokens: cosine between bundles", xlabel="time in the bag [s]")
    for axes in (left, right):
        if axes.lines:
            axes.legend(loc="lower left")
        else:
            axes.text(
                0.5,
                0.5,
                "not comparable: other shapes",
                transform=axes.transAxes,
                ha="center",
                color=RECORDED,
            )
    return _svg(figure)


def latency(comparison: Comparison) -> str:
    """Draw the share of computations that took at most so long, of both systems."""
    plt = pyplot()
    figure, both = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained")
    for axes, title, name in zip(
        both, ("System 1: a chunk", "System 2: an update"), ("chunk_s", "update_s"), strict=True
    ):
        for run, shade in _all_runs(comparison):
            values = 1e3 * np.sort(np.array(getattr(run, name)))
            if values.size:
                axes.step(values, np.arange(1, len(values) + 1) / len(values), color=shade, label=run.label)
        axes.set(title=title, xlabel="compute time [ms]", ylabel="share")
        axes.set_xlim(left=0)
        if axes.lines:
            axes.legend(loc="lower right")
    return _svg(figure)
