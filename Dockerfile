# The stack in a ROS 2 installation, as on a robot's computer. Build: docker compose build
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

RUN apt-get update && apt-get install -y --no-install-recommends \
    g++ make python3-dev python3-venv libosmesa6 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/video2act_ros
COPY . .

# TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu keeps the image free of CUDA.
ARG TORCH_INDEX_URL=
ENV TORCH_INDEX_URL=${TORCH_INDEX_URL}
RUN . "/opt/ros/${ROS_DISTRO}/setup.sh" && make setup

ENV PATH=/opt/video2act_ros/.venv/bin:${PATH}
ENTRYPOINT ["/ros_entrypoint.sh"]
CMD ["video2act", "run", "real_robot"]
