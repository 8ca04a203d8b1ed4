"""The project's exception tree: every refusal is one of these and names its remedy."""


class Video2ActError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigurationError(Video2ActError):
    """A parameter, profile or launch argument cannot be used as given."""


class BundleError(Video2ActError):
    """A checkpoint bundle is missing, damaged, or does not fit the robot or its pair."""


class ModelError(Video2ActError):
    """A model cannot be used now: another thread is using it."""


class InputError(Video2ActError):
    """A message or observation cannot be used (encoding, joint names, shape, non-finite values)."""


class InstructionError(Video2ActError):
    """The bundle holds no embedding for the instruction."""


class SimulationError(Video2ActError):
    """The simulated robot cannot be built or rendered on this machine."""


class ControlError(Video2ActError):
    """A thread that moves the arm, or that watches its inputs, stands still."""


class TransportError(Video2ActError):
    """The middleware did not take a message."""


class BagError(Video2ActError):
    """A bag is missing, empty, damaged, or lacks what is needed of it."""


class DatasetError(Video2ActError):
    """A demonstration dataset is missing, damaged, or does not fit what is trained on it."""


def describe_error(error: Exception) -> str:
    """Return a refusal's own words; anything unexpected with its type."""
    return str(error) if isinstance(error, Video2ActError) else f"{type(error).__name__}: {error}"


def unknown_choice(kind: str, given: object, valid: object) -> str:
    """Return the project's one wording for "that is not one of the valid choices"."""
    choices = ", ".join(str(item) for item in valid)  # type: ignore[attr-defined]
    return f"unknown {kind} '{given}'; choose one of: {choices}"
