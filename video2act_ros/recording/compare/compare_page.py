"""The report of a comparison: one HTML file that refers to nothing outside itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from video2act_ros.core.whole_files import write_whole
from video2act_ros.recording.compare import compare_plots as plots
from video2act_ros.recording.compare.comparison import (
    Comparison,
    Run,
    divergence,
    errors,
    root_mean_square,
    vision_similarity,
)

_STRIP = 6  # moments shown, evenly spread over the bag
_STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;background:#f4f5f7;color:#1c2330;font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:0 0 4px}
p{margin:4px 0 12px;color:#4a5362}
section{background:#fff;border:1px solid #e2e5ea;border-radius:10px;padding:20px 22px;margin-top:18px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 10px;text-align:right;border-bottom:1px solid #eceef2}
th:first-child,td:first-child{text-align:left;color:#4a5362;font-weight:400}
thead th{color:#1c2330;font-weight:600;border-bottom:2px solid #d5d9e0}
svg{display:block;width:100%;height:auto;margin-top:8px}
.dot{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px}
.id{font:12px ui-monospace,SFMono-Regular,monospace;color:#6b7482}
.strip{display:grid;gap:8px;margin-top:10px}
figure{margin:0}figure img{width:100%;display:block;border-radius:5px;background:#ddd}
figcaption{font-size:12px;color:#6b7482;padding-top:3px}
.camera{font-size:13px;color:#4a5362;margin:14px 0 0}
.scroll{overflow-x:auto}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(comparison: Comparison, path: Path) -> None:
    """Draw a comparison and write it whole or not at all.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    content = page(comparison)
    write_whole(path, content)


def page(comparison: Comparison) -> str:
    """Return the report as HTML."""
    worst = most_apart(comparison)
    sections = (
        _section("At a glance", "", _figures(comparison)),
        _section(
            "Moments",
            "What the cameras saw: evenly spread over the bag, then the numbered chunks that lie farthest apart.",
            _strips(comparison, worst),
        ),
        _section(
            "Error of each joint",
            "Root mean square of the difference between every action and where the arm was when it was due. "
            "In a bag of a driven arm the recorded chunks have an advantage: they moved it.",
            plots.joint_errors(comparison),
        ),
        _section("Along the chunk", "", plots.horizon(comparison)),
        _section(
            "Along the bag",
            "How far the chunks for the same observation lie apart. Numbers mark the chunks drawn below.",
            plots.over_time(comparison, worst),
        ),
        *(
            _section(
                f"Chunk {number}, at {comparison.times_s[index]:.2f} s",
                "The joints on which the runs differ most.",
                plots.traces(comparison, index),
            )
            for number, index in enumerate(worst, 1)
        ),
        _section(
            "Similarity of features",
            "Cosine of corresponding tokens, averaged; 1 is equal direction.",
            plots.similarity(comparison),
        ),
        _section(
            "Latency",
            "Share of computations that took at most so long; the recorded ones on the recorded machine.",
            plots.latency(comparison),
        ),
    )
    body = "".join(plots.with_ids_of_its_own(part, f"s{number}-") for number, part in enumerate(sections))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Comparison on {escape(comparison.bag.name)}</title><style>{_STYLE}</style></head><body><main>"
        f"{_head(comparison)}{body}</main></body></html>\n"
    )


def most_apart(comparison: Comparison, count: int = 2, distance_s: float = 1.0) -> list[int]:
    """Return the chunks on which the runs differ most, at least `distance_s` from each other, in time order."""
    total = sum(
        root_mean_square(divergence(first, second), (1, 2)) for _, first, second, _ in plots.pairs(comparison)
    )
    chosen: list[int] = []
    for index in np.argsort(np.asarray(total))[::-1]:
        time_s = comparison.times_s[index]
        if all(abs(time_s - comparison.times_s[other]) >= distance_s for other in chosen):
            chosen.append(int(index))
        if len(chosen) == count:
            break
    return sorted(chosen)


def _section(title: str, text: str, content: str) -> str:
    words = f"<p>{escape(text)}</p>" if text else ""
    return f'<section><h2>{escape(title)}</h2>{words}<div class="scroll">{content}</div></section>'


def _head(comparison: Comparison) -> str:
    names = " and ".join(run.label for run in comparison.runs)
    skipped = "; ".join(f"{count} {reason}" for reason, count in sorted(comparison.skipped.items()))
    text = (
        f"{comparison.bag.name}, {comparison.duration_s:.1f} s of robot {comparison.robot}: "
        f"{len(comparison.times_s)} chunks and {len(comparison.update_times_s)} System 2 updates computed again."
    )
    text += f" Skipped: {skipped}." if skipped else ""
    text += "".join(f" {line}." for line in comparison.unusable)
    if comparison.lossy:
        text += (
            f" The recorder compressed the images of {', '.join(comparison.lossy)}: not quite what was seen."
        )
    return f"<h1>{escape(names)}</h1><p>{escape(text)}</p>"


def _figures(comparison: Comparison) -> str:
    """Return the table of one row a figure and one column a run."""
    columns: list[tuple[Run, str]] = [(comparison.recorded, plots.RECORDED)]
    columns += [(run, plots.colour(index)) for index, run in enumerate(comparison.runs)]
    head = "".join(
        f'<th><span class="dot" style="background:{shade}"></span>{escape(run.label)}<br>'
        f'<span class="id">{escape(run.bundle_id)}</span></th>'
        for run, shade in columns
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for name, values in figures(comparison, [run for run, _ in columns])
    )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def figures(comparison: Comparison, runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return the figures at a glance: each one's name and its value of every run."""
    first = comparison.runs[0]

    def error(run: Run, against: str) -> str:
        samples = getattr(comparison, against)
        return (
            _number(float(root_mean_square(errors(comparison, run, samples), (0, 1, 2)))) if samples else "–"
        )

    def apart(run: Run, other: Run) -> str:
        return "–" if run is other else _number(float(root_mean_square(divergence(other, run), (0, 1, 2))))

    def cosine(values: list[float]) -> str:
        known = [value for value in values if np.isfinite(value)]
        return f"{np.mean(known):.4f}" if known else "–"

    rows = [
        ("RMS error against the measured joints", [error(run, "measured") for run in runs]),
        ("RMS error against the commands", [error(run, "commanded") for run in runs]),
        ("RMS distance from the recorded chunks", [apart(run, comparison.recorded) for run in runs]),
        (f"RMS distance from {first.label}", [apart(run, first) for run in runs]),
        ("System 1, p50 / p99", [_times(run.chunk_s) for run in runs]),
        ("System 2, p50 / p99", [_times(run.update_s) for run in runs]),
        ("cosine with the recorded spatial latents", [cosine(run.similarity["spatial"]) for run in runs]),
        ("cosine with the recorded motion latents", [cosine(run.similarity["motion"]) for run in runs]),
        (
            f"cosine of image tokens with {first.label}",
            [cosine(vision_similarity(first, run)) if run.vision else "–" for run in runs],
        ),
    ]
    return rows


def _number(value: float) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "–"


def _times(seconds: list[float]) -> str:
    if not seconds:
        return "–"
    return f"{1e3 * np.percentile(seconds, 50):.1f} / {1e3 * np.percentile(seconds, 99):.1f} ms"


def _strips(comparison: Comparison, worst: list[int]) -> str:
    """Return a row of images for each camera."""
    count = len(comparison.times_s)
    spread = sorted({round(i * (count - 1) / max(_STRIP - 1, 1)) for i in range(_STRIP)})
    moments = [(index, "") for index in spread] + [
        (index, f"chunk {n}, ") for n, index in enumerate(worst, 1)
    ]
    cameras = list(comparison.thumbs[0])
    rows = []
    for camera in cameras:
        cells = "".join(
            f'<figure><img alt="{escape(camera)} at {comparison.times_s[index]:.2f} s" '
            f'src="data:image/jpeg;base64,{base64.b64encode(comparison.thumbs[index][camera]).decode()}">'
            f"<figcaption>{word}{comparison.times_s[index]:.2f} s</figcaption></figure>"
            for index, word in moments
        )
        columns = f"grid-template-columns:repeat({len(moments)},minmax(90px,1fr))"
        rows.append(
            f'<p class="camera">{escape(camera)}</p><div class="strip" style="{columns}">{cells}</div>'
        )
    return "".join(rows)
