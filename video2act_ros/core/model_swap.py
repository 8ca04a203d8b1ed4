"""Replaces a running model by another one that is loaded beside it, alone or together with the other system's."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Generic, TypeVar

from video2act_ros.core.errors import InputError

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class BundleStatus:
    """What System 1 and System 2 tell of their bundles; an empty text stands for none.

    `bundle_id` and `features_id` are of the bundle that runs, `ready_features_id` of one that is loaded,
    tested, and waits for the other system.
    """

    bundle_id: str = ""
    features_id: str = ""
    ready_features_id: str = ""

    def to_json(self) -> str:
        """Return it as the text of a message."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BundleStatus:
        """Read such a text; anything else is an InputError."""
        try:
            content = json.loads(text)
            return cls(**{name: str(value) for name, value in content.items() if name in cls.__slots__})
        except (ValueError, AttributeError) as error:
            raise InputError(f"'{text}' is no bundle status: {error}") from error


@dataclass(frozen=True, slots=True)
class Candidate(Generic[M]):
    """A loaded and tested model: the bundle's name as it was asked for, and its identities."""

    name: str
    bundle_id: str
    features_id: str
    model: M


@dataclass(frozen=True, slots=True)
class SwapFailure:
    """Why the bundle `name` did not become a candidate, or could not replace the running one."""

    name: str
    error: Exception


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One wish; a later one for the same name is another: the files may have changed in between."""

    name: str


class ModelSwap(Generic[M]):
    """Loads what is asked for in a thread of its own and hands it over once both systems fit together.

    A candidate may run when it uses the same features as the model that it replaces, or those that the
    other system uses or has ready, or when the other system does not run. Until then it waits. Each system
    decides for itself by this one rule, so a pair changes on both sides as soon as both are ready. The
    newest request wins; one thread loads at a time. Thread-safe.
    """

    def __init__(self, load: Callable[[str], Candidate[M]], changed: Callable[[], None]) -> None:
        """Prepare, with nothing asked for.

        Args:
            load: makes a candidate of a bundle's name; called in the loading thread.
            changed: called in the loading thread when a candidate is ready or could not be made.
        """
        self._load = load
        self._changed = changed
        self._lock = threading.Lock()
        self._wanted: _Request | None = None
        self._candidate: Candidate[M] | None = None
        self._failure: SwapFailure | None = None
        self._other = BundleStatus()
        self._loading = False
        self._handing_over = False

    def request(self, name: str) -> None:
        """Begin to load a bundle; an earlier request that is not carried out yet is dropped."""
        with self._lock:
            self._wanted, self._candidate, self._failure = _Request(name), None, None
            if self._loading:
                return
            self._loading = True
        try:
            threading.Thread(target=self._run, name="bundle_loader", daemon=True).start()
        except RuntimeError as error:  # too many threads here
            with self._lock:
                self._loading, self._wanted, self._failure = False, None, SwapFailure(name, error)

    def cancel(self) -> None:
        """Drop a request that is not carried out yet."""
        with self._lock:
            self._wanted = self._candidate = self._failure = None

    def follow(self, other: BundleStatus) -> None:
        """Take what the other system runs and has ready."""
        with self._lock:
            self._other = other

    @property
    def idle(self) -> bool:
        """True while nothing is asked for or handed over."""
        with self._lock:
            return self._wanted is None and not self._handing_over

    @property
    def ready_features_id(self) -> str:
        """The features of the loaded candidate; empty while there is none."""
        with self._lock:
            return "" if self._candidate is None else self._candidate.features_id

    def take(self, features_id: str) -> Candidate[M] | None:
        """Hand over the candidate if it may now replace a model that uses `features_id`.

        `done` or `give_up` must follow.
        """
        with self._lock:
            candidate = self._candidate
            if candidate is None or not self._may_run(candidate, features_id):
                return None
            self._candidate = self._wanted = None
            self._handing_over = True
            return candidate

    def done(self) -> None:
        """Say that the candidate handed over runs."""
        with self._lock:
            self._handing_over = False

    def give_up(self, name: str, error: Exception) -> None:
        """Say that the candidate handed over, of bundle `name`, could not be put to use; what ran before goes on."""
        with self._lock:
            self._handing_over = False
            if self._wanted is None:  # else a newer request is what counts
                self._failure = SwapFailure(name, error)

    def take_failure(self) -> SwapFailure | None:
        """Return, once, why the newest request could not be carried out."""
        with self._lock:
            failure, self._failure = self._failure, None
            return failure

    def waiting(self, features_id: str) -> str | None:
        """Return why the candidate may not yet replace a model that uses `features_id`, or None."""
        with self._lock:
            candidate, other = self._candidate, self._other
            if candidate is None or self._may_run(candidate, features_id):
                return None
            ready = f" and has {other.ready_features_id} ready" if other.ready_features_id else ""
            return (
                f"bundle '{candidate.name}' is loaded and waits: it uses the features {candidate.features_id}, "
                f"the other system uses {other.features_id}{ready}"
            )

    def _may_run(self, candidate: Candidate[M], features_id: str) -> bool:
        fitting = (features_id, self._other.features_id, self._other.ready_features_id)
        return not self._other.features_id or candidate.features_id in fitting

    def _run(self) -> None:
        while (request := self._next()) is not None:
            candidate: Candidate[M] | None = None
            failure: SwapFailure | None = None
            try:
                candidate = self._load(request.name)
            except Exception as error:  # noqa: BLE001 - the top of a thread
                failure = SwapFailure(request.name, error)
            with self._lock:
                current = self._wanted is request
                if current:
                    self._candidate, self._failure = candidate, failure
                    self._wanted = request if candidate is not None else None
            del candidate, failure  # nothing but the running node keeps a model alive
            if current:
                with contextlib.suppress(Exception):  # a notice that fails ends no loading thread
                    self._changed()

    def _next(self) -> _Request | None:
        """Return what is to be loaded; None ends the thread."""
        with self._lock:
            request = None if self._candidate is not None else self._wanted
            self._loading = request is not None
            return request
