"""The comparison of bundles on a bag: figures and the report."""

import dataclasses
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from lockstep import record

from video2act_ros.core.errors import BundleError, ConfigurationError
from video2act_ros.core.types import JointSample
from video2act_ros.recording.compare.compare import compare
from video2act_ros.recording.compare.comparison import (
    Run,
    divergence,
    errors,
    mean_cosine,
    root_mean_square,
    samples_at,
)

pytest.importorskip("matplotlib", reason="the report is drawn with matplotlib: requirements/analysis.txt")
from video2act_ros.recording.compare import compare_page, compare_plots


@pytest.fixture
def bag(tmp_path, robot_profile, bundle):
    return record(tmp_path / "bag", robot_profile, bundle, 3.0)


@pytest.fixture
def comparison(bag, robot_profile, bundle, sibling_bundle):
    return compare(bag, robot_profile, [bundle, sibling_bundle], (bundle.parent,))


def test_the_bundle_that_made_the_bag_repeats_it(comparison):
    """Per-joint error, divergence and features: none for the recorded bundle, some for another policy."""
    same, other = comparison.runs
    assert np.abs(divergence(comparison.recorded, same)).max() == 0.0
    assert np.abs(divergence(comparison.recorded, other)).max() > 1e-3
    assert len(comparison.times_s) == len(same.chunks) == len(other.chunk_s) == 12
    assert same.similarity["spatial"] == pytest.approx(np.ones(10))
    mine, recorded = (errors(comparison, run, comparison.measured) for run in (same, comparison.recorded))
    np.testing.assert_array_equal(mine, recorded)


def test_a_bundle_of_other_features_uses_its_own_latents(bag, robot_profile, bundle, other_bundle):
    """Feature similarity: a pair is compared as a pair."""
    result = compare(bag, robot_profile, [bundle, other_bundle], (bundle.parent,))
    cosines = result.runs[1].similarity["motion"]
    assert len(cosines) == 10
    assert max(cosines) < 0.999
    assert len(result.runs[1].chunks) == 12


def test_a_bag_with_jpeg_images_is_compared_with_a_note(tmp_path, robot_profile, bundle):
    """Exact replay refuses images that nobody saw; for a comparison they are good enough, and named."""
    cameras = [camera.model_copy(update={"transport": "compressed"}) for camera in robot_profile.cameras]
    seen = robot_profile.model_copy(update={"cameras": tuple(cameras)})
    folder = record(tmp_path / "bag", seen, bundle, 1.0)
    result = compare(folder, robot_profile, [bundle], (bundle.parent,))
    assert result.lossy == ("cam_high",)
    assert len(result.times_s) == 4
    assert "The recorder compressed the images of cam_high" in compare_page.page(result)


def test_errors_are_measured_when_each_action_is_due():
    """An action at t + i * step is compared with the joints at that time; outside the bag nothing is known."""
    samples = [JointSample(10**9 + i * 10**8, np.array([float(i)])) for i in range(5)]
    values = samples_at(samples, np.array([10**9 + 5 * 10**7, 10**9 + 4 * 10**8, 10**9 + 10**9]))
    np.testing.assert_allclose(values[:, 0], [0.5, 4.0, np.nan])


def test_chunks_of_different_steps_are_compared_at_the_same_times():
    """Bundles may differ in horizon and step."""
    slope = np.arange(5, dtype=float)[None, :, None]
    coarse = Run("a", "a", 0.1, list(slope))
    fine = Run("b", "b", 0.05, list(np.arange(9, dtype=float)[None, :, None] / 2))
    np.testing.assert_allclose(divergence(coarse, fine), np.zeros((1, 5, 1)), atol=1e-12)
    np.testing.assert_allclose(divergence(fine, coarse), np.zeros((1, 9, 1)), atol=1e-12)


def test_figures_of_known_values():
    """The figures mean what their names say."""
    assert mean_cosine(np.eye(2), np.eye(2)) == pytest.approx(1.0)
    assert mean_cosine(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == pytest.approx(0.0)
    assert np.isnan(mean_cosine(np.eye(2), np.eye(3)))
    assert root_mean_square(np.array([[3.0, np.nan], [4.0, np.nan]]), (0,))[0] == pytest.approx(np.sqrt(12.5))


class References(HTMLParser):
    """Collects what a page would load, and whether its elements are closed in order."""

    VOID = ("meta", "img", "br", "use", "path", "rect", "link", "input")

    def __init__(self):
        super().__init__()
        self.references, self.tags, self.open, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [
            value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_report_is_one_file_that_refers_to_nothing_outside(comparison, tmp_path):
    """Self-contained: every image and plot is inside, no script, nothing half-written stays."""
    path = tmp_path / "new" / "report.html"
    compare_page.write_report(comparison, path)
    parser = References()
    parser.feed(path.read_text())
    assert not parser.open
    assert parser.references
    assert all(re.match(r"#|data:image/jpeg;base64,", reference) for reference in parser.references)
    assert not {"script", "link", "iframe", "object"} & set(parser.tags)
    assert not re.search(r"url\((?!#)", path.read_text().replace("url(&quot;", "url("))
    assert parser.tags.count("svg") >= 6
    assert parser.tags.count("img") >= 2 * 6
    assert list(path.parent.iterdir()) == [path]


def test_no_id_stands_twice_and_every_reference_finds_its_own(comparison, tmp_path):
    """Figures of one page share no ids: none is clipped or drawn by the parts of another."""
    compare_page.write_report(comparison, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    parser = References()
    parser.feed(text)
    assert len(parser.ids) == len(set(parser.ids)) > 100
    inner = [reference for reference in parser.references if reference.startswith("#")]
    used = {reference[1:] for reference in inner} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert inner
    assert used <= set(parser.ids)
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        own = References()
        own.feed(figure)
        assert {reference[1:] for reference in own.references} <= set(own.ids)


def test_the_report_opens_in_a_browser(comparison, tmp_path):
    """Checked in Chromium: it renders, logs no error and asks for nothing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium; on Debian: apt-get install chromium")
    path, shot = tmp_path / "report.html", tmp_path / "shot.png"
    compare_page.write_report(comparison, path)
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
        "--window-size=1200,2400",
        f"--screenshot={shot}",
        path.as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    assert not console
    image = compare_plots.pyplot().imread(shot)
    assert image.shape[:2] == (2400, 1200)
    assert image[..., :3].std() > 0.05


def test_a_bundle_for_another_robot_is_refused(bag, robot_profile, bundle):
    """The error names joints or cameras that do not fit."""
    fewer = robot_profile.model_copy(update={"cameras": robot_profile.cameras[:1]})
    with pytest.raises(BundleError, match="needs the cameras cam_wrist"):
        compare(bag, fewer, [bundle], (bundle.parent,))


def test_without_matplotlib_the_message_names_the_requirements(monkeypatch):
    """The optional dependency is named with the file that pins it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"requirements/analysis\.txt"):
        compare_plots.pyplot()


def test_names_cannot_break_the_page(comparison):
    """A bundle's name is text, not markup."""
    renamed = dataclasses.replace(comparison.runs[0], label="<b>&")
    comparison.runs = (renamed, comparison.runs[1])
    assert "<b>&" not in compare_page.page(comparison)
