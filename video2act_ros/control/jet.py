"""Numbers that carry their exact first and second time derivatives."""

from __future__ import annotations


class Jet:
    """A number as a function of time at one instant: its value, first and second derivative [1/s, 1/s²].

    Sums, products and reciprocals follow the sum, product and quotient rules. Immutable by convention.
    """

    __slots__ = ("first", "second", "value")

    def __init__(self, value: float, first: float = 0.0, second: float = 0.0) -> None:
        self.value, self.first, self.second = value, first, second

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, self.first + other.first, self.second + other.second)

    def __sub__(self, other: Jet) -> Jet:
        return Jet(self.value - other.value, self.first - other.first, self.second - other.second)

    def __mul__(self, other: Jet) -> Jet:
        return Jet(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + 2.0 * self.first * other.first + self.value * other.second,
        )

    def reciprocal(self) -> Jet:
        """Return 1 / self; the value must not be zero."""
        inverse = 1.0 / self.value
        first = -self.first * inverse * inverse
        return Jet(inverse, first, -self.second * inverse * inverse - 2.0 * first * self.first * inverse)


ZERO = Jet(0.0)
ONE = Jet(1.0)


def smooth_step(argument: Jet) -> Jet:
    """Rise from 0 at `argument` <= 0 to 1 at >= 1, twice continuously differentiable."""
    u = argument.value
    if u <= 0.0:
        return ZERO
    if u >= 1.0:
        return ONE
    value = u * u * u * (10.0 + u * (6.0 * u - 15.0))
    slope = 30.0 * u * u * (1.0 - u) * (1.0 - u)
    curvature = 60.0 * u * (1.0 - u) * (1.0 - 2.0 * u)
    return Jet(
        value, slope * argument.first, curvature * argument.first * argument.first + slope * argument.second
    )


def fade(time_ns: int, start_ns: int, length_ns: int) -> Jet:
    """Return the smooth step that begins at `start_ns` and takes `length_ns`, at `time_ns`."""
    if time_ns >= start_ns + length_ns:
        return ONE
    if time_ns <= start_ns:
        return ZERO
    return smooth_step(Jet((time_ns - start_ns) / length_ns, 1e9 / length_ns))
