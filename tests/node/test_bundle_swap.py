"""Bundles are swapped by a parameter of the running nodes; whatever is wrong with one, the old one goes on."""

import gc
import resource
import shutil
import weakref
from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter
from safetensors.torch import load_file, save_file
from std_msgs.msg import String

from video2act_msgs.msg import RunState
from video2act_ros.bundles.manifest import file_sha256
from video2act_ros.core.model_swap import BundleStatus
from video2act_ros.nodes.command_node import CommandNode
from video2act_ros.nodes.system1_node import System1Node
from video2act_ros.nodes.system2_node import System2Node
from video2act_ros.ros import qos
from video2act_ros.ros.bundle_switch import SYSTEMS

SWAPS = 100
GROWTH_BYTES = 16e6  # the allocator's slack; a hundred tiny models of one system are more


@pytest.fixture
def status(world):
    """What both systems tell of their bundles: {"system1": …, "system2": …}."""
    seen = {}

    def keep(system):
        def store(message):
            with world.changed:
                seen[system] = BundleStatus.from_json(message.data)
                world.changed.notify_all()

        return store

    for system in SYSTEMS:
        world.create_subscription(String, f"{system}/bundle_status", keep(system), qos.LATCHED)
    return seen


@pytest.fixture
def copy(sibling_bundle, tmp_path):
    """A copy of the compatible bundle that a test may damage."""
    return shutil.copytree(sibling_bundle, tmp_path / "copy")


def ask(node, bundle):
    return node.set_parameters([Parameter("bundle", value=str(bundle))])[0]


def value(node, name):
    return node.get_parameter(name).value


def edit_manifest(folder, change):
    path = folder / "manifest.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def swap_to(node, world, bundle):
    """Swap to a bundle; return what its chunks name."""
    ask(node, bundle)
    world.wait_for(lambda: node.switch.name == str(bundle), "the swap")
    world.wait_for_more("chunk")
    return world.newest("chunk").bundle_id


def assert_goes_on(world, node, bundle, bundle_id):
    """The old model still makes chunks, and both parameters name it."""
    world.wait_for_more("chunk", 2)
    assert world.newest("chunk").bundle_id == bundle_id
    assert value(node, "bundle") == str(bundle)
    assert value(node, "active_bundle") == bundle_id


def test_a_policy_is_swapped_while_it_runs(systems, world, sibling_bundle):
    """`bundle` is what is wanted, `active_bundle` what runs; chunks of the new one follow the old ones."""
    system1 = systems[1]
    world.run_state(epoch=1)
    world.wait_for_more("chunk")
    old = world.newest("chunk").bundle_id
    assert value(system1, "active_bundle") == old
    assert ask(system1, sibling_bundle).successful
    world.wait_for(
        lambda: world.received["chunk"] and world.newest("chunk").bundle_id != old,
        "a chunk of the new bundle",
    )
    new = world.newest("chunk").bundle_id
    world.wait_for(lambda: value(system1, "active_bundle") == new, "the parameter")
    ids = [message.bundle_id for message in world.received["chunk"]]
    assert ids == [old] * ids.count(old) + [new] * ids.count(new)
    world.wait_for(lambda: world.problems.get("/system1") == "ok", "no problem")


def test_a_video_model_is_swapped_alone_for_one_with_the_same_features(systems, world, sibling_bundle):
    """System 2 goes on with the frames that it has, and System 1 with its latents."""
    system2 = systems[0]
    world.wait_for_more("chunk")
    old = world.newest("spatial").bundle_id
    assert ask(system2, sibling_bundle).successful
    world.wait_for(
        lambda: world.received["spatial"] and world.newest("spatial").bundle_id != old,
        "latents of the new bundle",
    )
    first = next(m for m in world.received["spatial"] if m.bundle_id != old)
    assert len({(stamp.sec, stamp.nanosec) for stamp in first.frame_stamps}) > 1
    world.wait_for_more("chunk", 2)


def test_active_bundle_is_read_only(systems):
    """Only the node says what runs."""
    result = systems[1].set_parameters([Parameter("active_bundle", value="x")])[0]
    assert not result.successful
    assert systems[1].describe_parameter("active_bundle").read_only


def test_a_pair_with_other_features_changes_together(systems, world, status, bundle, other_bundle):
    """Set on one node it waits, visibly; set on both it takes effect, with no latents misused in between."""
    system2, system1 = systems
    world.wait_for_more("chunk")
    old = world.newest("chunk").bundle_id
    assert ask(system1, other_bundle).successful
    world.wait_for_problem("/system1", "is loaded and waits")
    assert f"back to '{bundle}'" in world.problems["/system1"]
    world.wait_for(lambda: status["system1"].ready_features_id, "the announcement")
    world.wait_for_more("chunk", 2)
    assert world.newest("chunk").bundle_id == old
    assert ask(system2, other_bundle).successful
    world.wait_for(
        lambda: world.received["chunk"] and world.newest("chunk").bundle_id != old, "a chunk of the new pair"
    )
    world.wait_for_more("chunk", 2)
    chunk = world.newest("chunk")
    assert chunk.features_id == world.newest("spatial").features_id
    world.wait_for(lambda: value(system1, "active_bundle") == chunk.bundle_id, "system1's parameter")
    world.wait_for(lambda: value(system2, "active_bundle") == chunk.bundle_id, "system2's parameter")
    assert {status[name].ready_features_id for name in status} == {""}


def test_setting_a_waiting_bundle_back_cancels_it(systems, world, status, bundle, other_bundle):
    """The other node's later change waits in its turn: nothing of the cancelled one is left."""
    system2, system1 = systems
    world.run_state(epoch=1)
    world.wait_for_more("chunk")
    old = world.newest("chunk").bundle_id
    ask(system1, other_bundle)
    world.wait_for_problem("/system1", "is loaded and waits")
    assert ask(system1, bundle).successful
    world.wait_for(lambda: world.problems.get("/system1") == "ok", "no problem")
    world.wait_for(lambda: not status["system1"].ready_features_id, "the withdrawal")
    ask(system2, other_bundle)
    world.wait_for_problem("/system2", "is loaded and waits")
    assert_goes_on(world, system1, bundle, old)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "unknown bundle"),
        ("schema", "schema 2, this version reads 1"),
        ("joints", "names and order must be equal"),
        ("cameras", "looks at cam_low"),
        ("no file", "system1.safetensors is missing"),
        ("no hash", "gives no sha256 of system1.safetensors"),
        ("no system 1", "holds no System 1"),
        ("instruction", "does not know the instruction in force, 'lift the cube'"),
    ],
)
def test_what_a_glance_shows_is_refused_by_the_parameter(systems, world, bundle, copy, change, words):
    """One clear message as the answer; the parameter and the running model stay."""
    system1 = systems[1]
    world.run_state(epoch=1, instruction="lift the cube")
    world.wait_for_more("chunk")
    old = world.newest("chunk").bundle_id

    def edit(content):
        if change == "schema":
            content["schema_version"] = 2
        elif change == "joints":
            content["system1"]["joint_names"] = ["elbow", "shoulder", "gripper"]
        elif change == "cameras":
            content["system1"]["policy"]["images"]["cameras"] = ["cam_high", "cam_low"]
        elif change == "no hash":
            del content["files"]["system1.safetensors"]
        elif change == "no system 1":
            del content["system1"]
        elif change == "instruction":
            content["instructions"] = ["fold the cloth", "drop the cube"]

    edit_manifest(copy, edit)
    if change == "no file":
        (copy / "system1.safetensors").unlink()
    result = ask(system1, Path("/nowhere") if change == "missing" else copy)
    assert not result.successful
    assert words in result.reason
    assert_goes_on(world, system1, bundle, old)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("truncated", "system1.safetensors is truncated or changed"),
        ("wrong hash", "system1.safetensors is truncated or changed"),
        ("truncated, hash renewed", "cannot read"),
        ("nan", "NaN or infinite weights in model.x_pos_embed"),
        ("self-test", "fails its self-test at stage 'chunk'"),
    ],
)
def test_what_only_loading_shows_returns_the_parameter(systems, world, bundle, copy, change, words):
    """The old model goes on, `bundle` returns to it, and /diagnostics says why."""
    system1 = systems[1]
    world.wait_for_more("chunk")
    old = world.newest("chunk").bundle_id
    weights = copy / "system1.safetensors"
    if change.startswith("truncated"):
        weights.write_bytes(weights.read_bytes()[:-100])
    elif change in ("nan", "self-test"):
        tensors = load_file(weights)
        tensors["model.x_pos_embed"].add_(float("nan") if change == "nan" else 1.0)
        save_file(tensors, weights)
    if change == "wrong hash":
        edit_manifest(copy, lambda content: content["files"].update({weights.name: "0" * 64}))
    elif change != "truncated":
        edit_manifest(copy, lambda content: content["files"].update({weights.name: file_sha256(weights)}))
    assert ask(system1, copy).successful
    world.wait_for_problem("/system1", words)
    assert f"'{bundle}' goes on" in world.problems["/system1"]
    assert_goes_on(world, system1, bundle, old)


def test_a_bundle_set_while_inactive_is_loaded_after_activation(systems, world, sibling_bundle):
    """The parameter is a wish: it is carried out as soon as the node works."""
    system1 = systems[1]
    old = value(system1, "active_bundle")
    system1.trigger_deactivate()
    assert ask(system1, sibling_bundle).successful
    assert value(system1, "active_bundle") == old
    system1.trigger_activate()
    world.wait_for(lambda: value(system1, "active_bundle") != old, "the swap")
    world.wait_for(
        lambda: world.received["chunk"] and world.newest("chunk").bundle_id != old,
        "a chunk of the new bundle",
    )


@pytest.fixture
def own(bundle, tmp_path):
    """A bundle under a name of its own, which a test may overwrite."""
    return shutil.copytree(bundle, tmp_path / "own")


@pytest.mark.parametrize("active", [True, False])
def test_a_bundle_that_was_overwritten_is_loaded_when_it_is_set_again(
    make_node, world, own, sibling_bundle, robot, bundle_folders, active
):
    """The same name stands for what lies there now; unchanged files are not loaded again."""
    node = make_node(
        System1Node, bundle=str(own), robot=str(robot), diagnostics_period_s=0.1, **bundle_folders
    )
    old, model = value(node, "active_bundle"), node.model
    if not active:
        node.trigger_deactivate()
    assert ask(node, own).successful
    assert node.switch._swap.idle
    shutil.copytree(sibling_bundle, own, dirs_exist_ok=True)
    assert ask(node, own).successful
    if not active:
        node.trigger_activate()
    world.wait_for(lambda: value(node, "active_bundle") != old, "the overwritten bundle")
    assert node.model is not model
    assert node.switch.name == str(own)


@pytest.mark.parametrize(
    ("change", "refused", "words"),
    [("joints", True, "names and order must be equal"), ("nan", False, "NaN or infinite weights")],
)
def test_a_bundle_overwritten_by_one_that_cannot_run_leaves_the_old_one(
    systems, world, bundle, own, change, refused, words
):
    """Setting it again is refused, or returned with the reason; what was loaded before goes on."""
    system1 = systems[1]
    old = swap_to(system1, world, own)
    weights = own / "system1.safetensors"
    if change == "joints":
        names = ["elbow", "shoulder", "gripper"]
        edit_manifest(own, lambda content: content["system1"].update(joint_names=names))
    else:
        tensors = load_file(weights)
        save_file({name: tensor * float("nan") for name, tensor in tensors.items()}, weights)
        edit_manifest(own, lambda content: content["files"].update({weights.name: file_sha256(weights)}))
    result = ask(system1, own)
    assert result.successful != refused
    if refused:
        assert words in result.reason
    else:
        world.wait_for_problem("/system1", words)
    assert_goes_on(world, system1, own, old)


def test_a_swap_with_the_command_node_in_one_process(
    context, spinner, world, bundle, sibling_bundle, robot, bundle_folders
):
    """`control:=in_process`: System 1's own executor serves both; the swap begins a new epoch."""
    common = {"robot": str(robot), "diagnostics_period_s": 0.1}
    overrides = [Parameter(name, value=item) for name, item in common.items()]
    given = {"bundle": str(bundle), "control": "in_process", "rate_hz": 10.0, **bundle_folders}
    mine = [*overrides, *(Parameter(name, value=item) for name, item in given.items())]
    system1 = System1Node(context=context, parameter_overrides=mine)
    nodes = [
        system1,
        *(kind(context=context, parameter_overrides=overrides) for kind in system1.companions()),
    ]
    assert [type(node) for node in nodes] == [System1Node, CommandNode]
    for node in nodes:
        assert node.bring_up()
        spinner.add(node)
    states = []

    def keep(message):
        with world.changed:
            states.append(message)
            world.changed.notify_all()

    world.create_subscription(RunState, "run_state", keep, qos.LATCHED)
    world.wait_for(lambda: states, "the run state")
    old, before = value(system1, "active_bundle"), states[-1]
    assert ask(system1, sibling_bundle).successful
    world.wait_for(lambda: value(system1, "active_bundle") != old, "the swap")
    world.wait_for(lambda: states[-1].epoch == before.epoch + 1, "the new epoch")
    after = states[-1].control_ticks
    assert after > before.control_ticks
    world.wait_for(lambda: states[-1].control_ticks > after, "a control loop that goes on")


def test_another_bundle_of_either_system_begins_a_new_epoch(make_node, world, robot):
    """The command node hears of a swap from the system itself; the same bundle told again changes nothing."""
    make_node(CommandNode, robot=str(robot))
    epochs = []
    told = {name: world.create_publisher(String, f"{name}/bundle_status", qos.LATCHED) for name in SYSTEMS}

    def keep(message):
        with world.changed:
            epochs.append(message.epoch)
            world.changed.notify_all()

    def tell(system, bundle_id):
        told[system].publish(String(data=BundleStatus(bundle_id, "f").to_json()))
        count = len(epochs)
        world.wait_for(lambda: len(epochs) > count + 2, "three more run states")

    world.create_subscription(RunState, "run_state", keep, qos.LATCHED)
    world.wait_for(lambda: epochs, "the run state")
    for system in SYSTEMS:
        first = epochs[-1]
        world.wait_for(lambda name=system: told[name].get_subscription_count() >= 1, "the command node")
        for bundle_id, raised in (("a", 0), ("a", 0), ("", 0), ("b", 1), ("b", 1)):
            tell(system, bundle_id)
            assert epochs[-1] == first + raised


@pytest.mark.slow
@pytest.mark.parametrize(("node_class", "part"), [(System1Node, "policy"), (System2Node, "encoder")])
def test_a_hundred_swaps_free_every_model(
    make_node, world, bundle, sibling_bundle, robot, bundle_folders, node_class, part
):
    """Without the garbage collector's help: each old model is gone, and memory does not grow."""
    node = make_node(
        node_class, bundle=str(bundle), robot=str(robot), diagnostics_period_s=0.1, **bundle_folders
    )
    models = []
    sizes = []
    gc.collect()
    gc.disable()
    try:
        for index in range(SWAPS):
            before = value(node, "active_bundle")
            models.append(weakref.ref(getattr(node.model, part)))
            assert ask(node, bundle if index % 2 else sibling_bundle).successful
            world.wait_for(lambda seen=before: value(node, "active_bundle") != seen, f"swap {index}")
            sizes.append(resident_bytes())
    finally:
        gc.enable()
    world.wait_for(lambda: all(model() is None for model in models), "the old models' end")
    assert sizes[-1] - sizes[SWAPS // 5] < GROWTH_BYTES


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("state", ["active", "unconfigured"])
def test_a_bundle_from_elsewhere_is_refused_whatever_the_node_does(
    make_node, world, bundle, sibling_bundle, robot, tmp_path, state
):
    """Any peer may set the parameter: only configured folders count, also through a link and before configuration."""
    node = make_node(System1Node, bundle=str(bundle), robot=str(robot), bundle_folders=str(tmp_path / "mine"))
    if state == "unconfigured":
        node.trigger_deactivate()
        node.trigger_cleanup()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "link").symlink_to(sibling_bundle)
    for name in (
        sibling_bundle,
        tmp_path / "mine" / ".." / ".." / sibling_bundle,
        tmp_path / "mine" / "link",
    ):
        result = ask(node, name)
        assert not result.successful
        assert "bundle" in result.reason
    assert "start the node with bundle_folders:=" in ask(node, sibling_bundle).reason
    assert value(node, "bundle") == str(bundle)
    inside = shutil.copytree(sibling_bundle, tmp_path / "mine" / "inside")
    assert ask(node, inside).successful
    assert ask(node, bundle).successful, "the one of the start stays allowed"


def test_a_refused_instruction_of_the_start_does_not_block_the_next_swap(systems, world, bundle, copy):
    """The run state may name another one than the parameter, which the new bundle need not know."""
    system1 = systems[1]
    system1.set_parameters([Parameter("instruction", value="drop the cube")])
    world.run_state(epoch=1, instruction="lift the cube")
    world.wait_for_more("chunk")

    def keep_one(content):
        content["instructions"] = content["instructions"][:1]

    edit_manifest(copy, keep_one)
    assert ask(system1, copy).successful
    world.wait_for(lambda: system1.switch.name == str(copy), "the swap")
    assert ask(system1, bundle).successful
    world.wait_for(lambda: system1.switch.name == str(bundle), "the next swap")


def test_a_swap_that_fails_while_the_running_bundle_is_gone_returns_all_the_same(systems, world, own, copy):
    """The folder of what runs was renamed or taken away: its model goes on, and nothing is loaded again and again."""
    system1 = systems[1]
    old = swap_to(system1, world, own)
    weights = copy / "system1.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    own.rename(own.with_name("moved"))
    assert ask(system1, copy).successful
    world.wait_for_problem("/system1", "system1.safetensors is truncated or changed")
    assert_goes_on(world, system1, own, old)
