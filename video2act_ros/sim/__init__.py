"""The simulated bimanual ALOHA robot that stands in for an arm: physics, cameras, tasks, expert.

Importing this package chooses MuJoCo's OpenGL library, which has to happen before `mujoco` is imported.
"""

from video2act_ros.sim.graphics import select_gl_library

select_gl_library()
