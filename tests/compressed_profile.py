"""A shipped robot profile whose head camera, which System 2 looks at, sends compressed images."""

import yaml

from video2act_ros.ros import environment


def write_compressed_profile(name, folder):
    """Write it into the folder, on the topic that image_transport would use; return its path."""
    content = yaml.safe_load(environment.resolve_profile(name).read_text())
    head = content["cameras"][0]
    head |= {"topic": f"{head['topic']}/compressed", "transport": "compressed"}
    path = folder / f"{name}_compressed.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
