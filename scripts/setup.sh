#!/usr/bin/env bash
# Makes .venv: Python packages, ROS 2 (pinned wheels, or the sourced installation), our messages, our package.
# Incremental: each part is redone only when the files that shape it have changed.
#
#   PYTHON=python3.12          interpreter of a new .venv (3.10 to 3.13)
#   ROS_WHEELS=jazzy           wheels of a new .venv: kilted (default) or jazzy
#   TORCH_INDEX_URL=...        additional package index to take torch from
set -euo pipefail
cd "$(dirname "$0")/.."
REPO=$PWD
VENV=$REPO/.venv
exec 9<"scripts/setup.sh"
flock 9 # two `make` at once take turns

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# An installation counts when it is sourced and complete; everything else gets the wheels.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
if [ -n "${ROS_DISTRO:-}" ] && "${PYTHON:-python3}" -c 'import rclpy' 2>/dev/null; then
  ROS=$ROS_DISTRO WHEELS=
else
  ROS=wheels
  MADE_WITH=$(cat "$VENV/.ros-wheels" 2>/dev/null || echo kilted)
  WHEELS=${ROS_WHEELS:-$MADE_WITH}
  [[ $WHEELS =~ ^(kilted|jazzy)$ ]] || die "there are no wheels of ROS 2 '$WHEELS' here; ROS_WHEELS is kilted or jazzy"
  unset LD_LIBRARY_PATH PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
fi

choose_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.10 to 3.13 found; install one and name it: PYTHON=/path/to/python3.12 make setup"
}

# Prints the Debian packages that are missing.
missing_packages() {
  local python=$1 packages=()
  { command -v g++ && command -v gcc; } >/dev/null || packages+=(g++)
  command -v make >/dev/null || packages+=(make)
  "$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
  [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || packages+=(python3-dev)
  "$python" - <<'PY' || packages+=(libegl1 libgl1-mesa-dri libopengl0)
import ctypes, sys

def loads(*names):
    for name in names:
        try:
            return ctypes.CDLL(name) is not None
        except OSError:
            pass
    return False

osmesa = loads("libOSMesa.so.8", "libOSMesa.so.6")
sys.exit(not (osmesa or (loads("libEGL.so.1") and loads("libOpenGL.so.0", "libGL.so.1"))))
PY
  echo "${packages[*]-}"
}

check_system() {
  local python=$1 packages
  packages=$(missing_packages "$python")
  if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing missing system packages: $packages"
    # shellcheck disable=SC2086
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null || true
    packages=$(missing_packages "$python")
  fi
  [ -z "$packages" ] || die "missing system packages; run: sudo apt install $packages"
  if [ "$ROS" = wheels ] && [ "$(uname -sm)" != "Linux x86_64" ]; then
    die "ROS 2 wheels exist for Linux x86-64 only; install ROS 2 here and source its setup.bash first"
  fi
}

make_venv() {
  local python=$1 options=()
  [ "$ROS" = wheels ] || options+=(--system-site-packages)
  say "creating .venv with $("$python" --version) (ROS 2: $ROS${WHEELS:+ of $WHEELS})"
  "$python" -m venv --clear "${options[@]}" "$VENV"
  echo "$ROS" >"$VENV/.ros"
  [ "$ROS" != wheels ] || echo "$WHEELS" >"$VENV/.ros-wheels" # an older .venv without it has those of Kilted
}

# changed NAME FILE...: true when the files differ from those of the last successful `done_with NAME`.
digest() { cat "$@" | sha256sum; }
changed() { [ "$(cat "$VENV/.stamp-$1" 2>/dev/null)" != "$(digest "${@:2}")" ]; }
done_with() { digest "${@:2}" >"$VENV/.stamp-$1"; }

# Prints the file with the versions for this ROS 2: an installation's message extensions bring their NumPy's ABI.
constraints() {
  if [ "$ROS" = wheels ] || "$VENV/bin/python" -c 'import numpy, sys; sys.exit(numpy.__version__ < "2")' 2>/dev/null; then
    echo requirements/constraints.txt
  else
    echo requirements/constraints-numpy1.txt
  fi
}

install_packages() {
  # Chosen once, before a NumPy of ours hides the installation's.
  [ -f "$VENV/.constraints" ] || constraints >"$VENV/.constraints"
  say "installing Python packages (a few minutes the first time)"
  # Python 3.10's own pip never resolves this set, its setuptools cannot build a wheel alone.
  pip install -qq --upgrade 'pip>=25' 'setuptools>=70.1,<80'
  pip install -qq ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} -r requirements/torch.txt
  pip install -qq -c "$(cat "$VENV/.constraints")" -r requirements/base.txt -r requirements/dev.txt -r requirements/onnx.txt \
    -r requirements/analysis.txt
  pip install -qq --no-deps -r requirements/sim.txt
}

# The wheels' exported CMake targets carry the paths of the machine that built them; name this interpreter's.
install_ros_wheels() {
  local include site
  say "installing ROS 2 wheels of $WHEELS"
  pip install -qq -c "$(cat "$VENV/.constraints")" -r "requirements/ros-$WHEELS.txt"
  include=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')
  site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  find "$VENV/share" -name '*.cmake' -print0 | xargs -0 sed -i -E \
    -e "s#/opt/python/cp3[0-9]+-cp3[0-9]+/include/python3\.[0-9]+#$include#g" \
    -e "s#/opt/python/cp3[0-9]+-cp3[0-9]+/lib/python3\.[0-9]+/site-packages#$site#g"
}

# Into the virtual environment itself, so that nothing has to be sourced afterwards. Run from there: the
# repository's colcon_defaults.yaml is for workspaces.
build_messages() (
  prefixes=$VENV
  [ "$ROS" = wheels ] || prefixes=$VENV:${AMENT_PREFIX_PATH:-}
  say "building video2act_msgs"
  mkdir -p "$VENV/colcon" && cd "$VENV/colcon"
  CMAKE_PREFIX_PATH=$prefixes AMENT_PREFIX_PATH=$prefixes colcon build \
    --base-paths "$REPO/ros2_ws/src/video2act_msgs" --merge-install --install-base "$VENV" \
    --cmake-args -DBUILD_TESTING=OFF >output.txt 2>&1 ||
    die "building video2act_msgs failed; the compiler's output: .venv/colcon/output.txt"
)

install_package() {
  say "linking video2act_ros"
  local launch=$VENV/share/video2act_ros/launch libexec=$VENV/lib/video2act_ros
  mkdir -p "$VENV/colcon" "$VENV/share/video2act_ros" "$VENV/share/ament_index/resource_index/packages"
  pip install -qq --no-deps --no-build-isolation --use-pep517 --editable . >"$VENV/colcon/package.txt" 2>&1 ||
    die "installing video2act_ros failed; pip's output: .venv/colcon/package.txt"
  ln -sfn "$REPO/package.xml" "$REPO/config" "$REPO/models" "$VENV/share/video2act_ros/"
  ln -sfn "$REPO/resource/video2act_ros" "$VENV/share/ament_index/resource_index/packages/"
  # `ros2 launch` and `ros2 run` look into folders, not into links to folders
  rm -rf "$launch" "$libexec"
  mkdir -p "$launch" "$libexec"
  ln -s "$REPO"/launch/*.launch.py "$launch/"
  ln -s "$VENV"/bin/{*_node,video2act} "$libexec/"
}

check_rendering() {
  local backend
  for backend in egl osmesa; do
    if MUJOCO_GL=$backend python -c \
      'import mujoco; c = mujoco.GLContext(16, 16); c.make_current(); c.free()' >/dev/null 2>&1; then
      return
    fi
  done
  say "no working OpenGL for headless rendering; run: sudo apt install libegl1 libgl1-mesa-dri libopengl0"
  [ "$ROS" != wheels ] || exit 1
}

PACKAGE_FILES=(setup.py setup.cfg package.xml resource/video2act_ros launch/*.launch.py)
mapfile -t MESSAGE_FILES < <(find ros2_ws/src/video2act_msgs -type f | LC_ALL=C sort)
MESSAGE_FILES+=("requirements/ros-${WHEELS:-kilted}.txt")
PYTHON_FILES=(requirements/{torch,base,dev,onnx,analysis,sim}.txt requirements/constraints*.txt)

if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
  PYTHON=$(choose_python)
  check_system "$PYTHON"
  make_venv "$PYTHON"
elif [ "$(cat "$VENV/.ros" 2>/dev/null || echo "$ROS")" != "$ROS" ]; then
  die ".venv was made for ROS 2 '$(cat "$VENV/.ros")', this shell has '$ROS'; remove it first: rm -rf .venv"
elif [ "$ROS" = wheels ] && [ "$WHEELS" != "$MADE_WITH" ]; then
  die ".venv has ROS 2 wheels of $MADE_WITH, ROS_WHEELS is $WHEELS; remove it first: rm -rf .venv"
fi
export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1

if changed python "${PYTHON_FILES[@]}"; then
  check_system "$VENV/bin/python"
  install_packages
  check_rendering
  done_with python "${PYTHON_FILES[@]}"
fi
if [ "$ROS" = wheels ] && changed ros "requirements/ros-$WHEELS.txt"; then
  install_ros_wheels
  done_with ros "requirements/ros-$WHEELS.txt"
fi
if changed messages "${MESSAGE_FILES[@]}"; then
  build_messages
  done_with messages "${MESSAGE_FILES[@]}"
fi
if changed package "${PACKAGE_FILES[@]}"; then
  install_package
  done_with package "${PACKAGE_FILES[@]}"
fi
