# The stack in a ROS 2 installation on Ubuntu 24.04, for Jazzy (default) or Kilted. docs/install.md explains.
#   docker build -t video2act_ros .                             torch and onnxruntime with CUDA
#   docker build -t video2act_ros:cpu --build-arg VARIANT=cpu .
ARG ROS_DISTRO=jazzy

# ---- what both stages have: the packages that rosdep names ----------------------------------------------------
# hadolint ignore=DL3006
FROM ros:${ROS_DISTRO}-ros-base AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG DEBIAN_FRONTEND=noninteractive
COPY package.xml /opt/manifests/video2act_ros/
COPY ros2_ws/src/video2act_msgs/package.xml /opt/manifests/video2act_msgs/
# libgl1-mesa-dri: OpenGL in software, where no GPU draws the simulated cameras.
# The ROS and Ubuntu archives keep only the newest version of a package, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri libopengl0 \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install -y --from-paths /opt/manifests --ignore-src --dependency-types exec \
    && rm -rf /var/lib/apt/lists/*

# ---- with compilers: the virtual environment and the two packages ----------------------------------------------
FROM base AS build
ARG DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make python3-colcon-common-extensions python3-dev python3-venv \
    && rosdep install -y --from-paths /opt/manifests/video2act_msgs --ignore-src \
    && rm -rf /var/lib/apt/lists/*

# Ubuntu keeps pip out of its own Python (PEP 668); the environment sees the packages of ROS.
RUN python3 -m venv --system-site-packages /opt/venv
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY requirements requirements
ARG VARIANT=cuda
ARG TORCH_CPU_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    case "$VARIANT" in \
        cuda) onnx=requirements/onnx-gpu.txt ;; \
        cpu) onnx=requirements/onnx.txt; export PIP_EXTRA_INDEX_URL="$TORCH_CPU_INDEX_URL" ;; \
        *) echo "VARIANT must be cuda or cpu, not '$VARIANT'" >&2; exit 1 ;; \
    esac \
    && pip install -r requirements/ros-installation.txt -r "$onnx" \
    && pip install --no-deps -r requirements/sim.txt

COPY . .
# By the environment's interpreter, so that the nodes start with it.
RUN . "/opt/ros/$ROS_DISTRO/setup.sh" \
    && python -m colcon --log-base /tmp/log build --build-base /tmp/build --merge-install --install-base /opt/video2act \
        --event-handlers console_direct+ --cmake-args -DBUILD_TESTING=OFF \
    && rm -rf /tmp/log /tmp/build

# ---- what runs --------------------------------------------------------------------------------------------------
FROM base AS runtime
ARG VARIANT=cuda
LABEL org.opencontainers.image.title="video2act_ros" \
      org.opencontainers.image.description="A dual-system video-to-action policy on ROS 2" \
      org.opencontainers.image.licenses="Apache-2.0" \
      video2act.variant="$VARIANT"

# An ordinary user; the shared-memory transport reaches a driver outside only where both have one user id. Real-time
# priority comes from the container's limits: --ulimit rtprio=60 (compose.yaml has it).
ARG UID=1000
ARG GID=1000
RUN if id -u ubuntu >/dev/null 2>&1; then userdel --remove ubuntu; fi \
    && groupadd --gid "$GID" video2act \
    && useradd --uid "$UID" --gid "$GID" --create-home --shell /bin/bash video2act

COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/video2act /opt/video2act
COPY docker/entrypoint.sh /opt/video2act/entrypoint.sh
RUN ln -s /opt/video2act/lib/video2act_ros/video2act /usr/local/bin/video2act

# The NVIDIA container runtime reads these two.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
USER ${UID}:${GID}
WORKDIR /home/video2act

# Every node of this container must answer that it is active; VIDEO2ACT_NODES names them where it is not the three of
# a real robot. Loading the models takes a minute or two.
HEALTHCHECK --interval=30s --timeout=20s --start-period=180s --retries=3 \
    CMD ["/opt/video2act/entrypoint.sh", "video2act", "health"]
# As Ctrl-C: the arm brakes to a hold before the processes end.
STOPSIGNAL SIGINT
ENTRYPOINT ["/opt/video2act/entrypoint.sh"]
CMD ["ros2", "launch", "video2act_ros", "real_robot.launch.py"]
