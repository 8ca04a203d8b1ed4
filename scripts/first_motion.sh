#!/usr/bin/env bash
# Times a newcomer's way: from a fresh clone to the arm's first motion, then once more with everything in place.
#   scripts/first_motion.sh [FOLDER]     the clone goes there (a new temporary folder by default)
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
clone=${1:-$(mktemp -d)/clone}
start=$(date +%s)
git clone -q "$repo" "$clone"
cd "$clone"
for run in first second; do
  [ "$run" = first ] || start=$(date +%s)
  make setup
  before_demo=$(date +%s)
  .venv/bin/video2act demo --episodes 1 --no-video
  motion=$(.venv/bin/python -c 'import json; print(json.load(open("out/demo/report.json"))["first_motion_s"])')
  echo "$run run: setup $((before_demo - start)) s, then first motion after $motion s"
done
