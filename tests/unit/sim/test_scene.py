from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from video2act_ros.core.errors import SimulationError
from video2act_ros.sim.scene import coarsen, load_model, scene_path


def test_merged_vertices_stay_within_a_cell_of_the_surface() -> None:
    """Coarsening moves no vertex further than a cell's diagonal and leaves no degenerate triangle."""
    random = np.random.default_rng(0)
    vertices = random.uniform(-1.0, 1.0, (400, 3))
    faces = random.integers(0, 400, (900, 3))
    merged, kept = coarsen(vertices, faces, 0.2)
    distance = np.linalg.norm(vertices[:, None] - merged[None], axis=-1).min(axis=1)
    assert distance.max() <= 0.2 * np.sqrt(3.0)
    assert kept.max() < len(merged) <= 400
    assert all(len(set(face)) == 3 for face in kept.tolist())
    assert len({tuple(sorted(face)) for face in kept.tolist()}) == len(kept)


def test_what_touches_the_cube_is_not_simplified() -> None:
    """Only the gripper housings are coarsened; the fingers keep every triangle."""
    model = load_model()
    triangles = {model.mesh(index).name: int(model.mesh_facenum[index]) for index in range(model.nmesh)}
    assert triangles["vx300s_10_gripper_finger_left"] == 1666
    assert triangles["vx300s_7_gripper"] < 1000


def test_a_missing_wheel_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the assets the error says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SimulationError, match="pip install --no-deps gym-aloha"):
        scene_path()
