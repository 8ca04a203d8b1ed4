#!/usr/bin/env bash
# Opens an exported dataset with the real lerobot package, in a virtual environment of its own:
#
#   scripts/check_lerobot.sh DATASET [VENV]
#
# Not part of the tests: lerobot pins another torch than this package. To keep the environment small it takes
# torch without CUDA where the package index has one, and the packages that only the loader needs. torchcodec
# decodes with the system's FFmpeg libraries; on Debian: apt install ffmpeg.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'; exit 2; }
DATASET=$(realpath "$1")
VENV=${2:-out/lerobot-venv}
# In another virtual environment of ROS wheels these would point the new interpreter to the wrong libraries.
unset LD_LIBRARY_PATH PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

if [ ! -x "$VENV/bin/python" ]; then
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install -q torch==2.13.0
  "$VENV/bin/pip" install -q 'datasets>=4,<5' 'huggingface-hub>=0.34.2,<0.36' 'av>=15,<16' einops draccus==0.10.0 \
    deepdiff jsonlines packaging termcolor 'setuptools<81' gymnasium accelerate imageio
  "$VENV/bin/pip" install -q --no-deps torchvision==0.28.0 torchcodec==0.13.0 lerobot==0.4.4
fi
HF_HUB_OFFLINE=1 "$VENV/bin/python" - "$DATASET" <<'PYTHON'
import sys

import torch

# torchvision's compiled operators need CUDA's libraries; the loader uses none, but importing wants to know two.
library = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    try:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:
        pass  # this torchvision brings its own
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root = sys.argv[1]
dataset = LeRobotDataset("local/check", root=root)
step = 1 / dataset.fps
windows = {"observation.state": [-step, 0.0], "action": [0.0, step, 2 * step]}
windows |= {key: [-step, 0.0] for key in dataset.meta.camera_keys}
dataset = LeRobotDataset("local/check", root=root, delta_timestamps=windows)
seen = sum(len(batch["index"]) for batch in torch.utils.data.DataLoader(dataset, batch_size=16))
assert seen == len(dataset) == dataset.meta.total_frames, (seen, len(dataset))
print(f"{seen} samples of {dataset.num_episodes} episodes at {dataset.fps} Hz, decoded by {dataset.video_backend}")
for key, value in sorted(dataset[0].items()):
    print(f"  {key}: {tuple(value.shape)} {value.dtype}" if hasattr(value, "shape") else f"  {key}: {value}")
PYTHON
