"""Which OpenGL library MuJoCo renders with on a machine without a display."""

from __future__ import annotations

import ctypes
import os

INSTALL_HINT = "`apt-get install libosmesa6` (or `apt-get install libegl1 libgl1-mesa-dri libopengl0`)"

_OSMESA_NAMES = ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")
_EGL_NAMES = ("libEGL.so.1", "libEGL.so")


def _loads(names: tuple[str, ...]) -> bool:
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def available_gl_library() -> str | None:
    """Return "osmesa" or "egl", the first that loads on this machine, or None."""
    if _loads(_OSMESA_NAMES):
        return "osmesa"
    return "egl" if _loads(_EGL_NAMES) else None


def select_gl_library() -> None:
    """Set MUJOCO_GL where the user has not; without any library, physics works and cameras do not.

    Mesa's software rasteriser is kept to one thread: the cores belong to the models and the control.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")
    if not os.environ.get("MUJOCO_GL"):
        os.environ["MUJOCO_GL"] = available_gl_library() or "disable"


def gl_problem() -> str | None:
    """Return why nothing can be rendered, or None when a GL library was selected."""
    if os.environ.get("MUJOCO_GL", "disable").lower() in ("disable", "disabled", "off", "false", "0"):
        return f"no OpenGL library found for rendering the cameras; run {INSTALL_HINT}"
    return None
