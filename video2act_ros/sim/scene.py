"""The ALOHA scene from the gym-aloha wheel, prepared for fast software rendering."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from video2act_ros.core.errors import SimulationError

PHYSICS_STEP_S = 0.002

# The scene's own fields of view lose the cube (top 78 deg) or the table (wrists 20 deg).
CAMERA_FOVY_DEG = {"top": 50.0, "left_wrist": 45.0, "right_wrist": 45.0}

# Two meshes hold half of the scene's triangles, most of them smaller than a pixel of any camera.
_DENSE_MESHES = ("vx300s_7_gripper", "vx300s_9_gripper_bar")
_MESH_CELL_M = 0.003

_INSTALL = "run `pip install --no-deps gym-aloha==0.1.5` in this environment"


def scene_path() -> Path:
    """Return the MJCF of the transfer-cube scene inside the gym-aloha wheel, without importing the wheel."""
    spec = importlib.util.find_spec("gym_aloha")
    if spec is None or not spec.submodule_search_locations:
        raise SimulationError(f"the ALOHA scene is missing; {_INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / "assets" / "bimanual_viperx_transfer_cube.xml"
    if not path.is_file():
        raise SimulationError(f"the ALOHA scene {path} is missing; {_INSTALL}")
    return path


def load_model() -> mujoco.MjModel:
    """Return the scene's model: 2 ms steps, wide cameras, no shadows, reflections or multi-sampling.

    The two dense meshes of the gripper housings are coarsened to 3 mm, which halves the rendering time;
    fingers, cube and table, which touch things, stay as they are.
    """
    path = str(scene_path())
    original = mujoco.MjModel.from_xml_path(path)
    spec = mujoco.MjSpec.from_file(path)
    for mesh in spec.meshes:
        if mesh.name in _DENSE_MESHES:
            vertices, faces = coarsen(*_mesh(original, mesh.name), _MESH_CELL_M)
            mesh.file, mesh.scale = "", [1.0, 1.0, 1.0]
            mesh.uservert, mesh.userface = vertices.ravel(), faces.ravel()
    model = spec.compile()
    model.opt.timestep = PHYSICS_STEP_S
    model.vis.quality.offsamples = 0
    model.light_castshadow[:] = 0
    for name, fovy_deg in CAMERA_FOVY_DEG.items():
        model.cam_fovy[model.camera(name).id] = fovy_deg
    return model


def _mesh(model: mujoco.MjModel, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a mesh's vertices (V, 3) [m] in its geom's frame and its triangles (F, 3)."""
    mesh = model.mesh(name).id
    start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.mesh_quat[mesh])
    vertices = model.mesh_vert[start : start + count].astype(np.float64)
    vertices = vertices @ rotation.reshape(3, 3).T + model.mesh_pos[mesh]
    start, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return vertices, model.mesh_face[start : start + count].astype(np.int64)


def coarsen(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], cell: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge the vertices (V, 3) of each cubic `cell` into their mean, without vanished triangles."""
    keys = np.floor(vertices / cell).astype(np.int64)
    _, merged = np.unique(keys, axis=0, return_inverse=True)
    merged = merged.reshape(-1)
    counts = np.bincount(merged)
    sums = [np.bincount(merged, vertices[:, axis]) for axis in range(3)]
    means = np.stack(sums, axis=1) / counts[:, None]  # (V', 3)
    faces = merged[faces]  # (F, 3)
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (a != c)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return means, faces[np.sort(first)]
