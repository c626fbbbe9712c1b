"""Numbers and texts of a scenario: the bounds, and errors that name the field."""

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from suno_cover_async.sandbox import validators


def judge(validator: Callable[..., None], value: object) -> None:
    """Give a field a value, as a scenario does."""
    cls = attrs.make_class("Made", {"the_field": attrs.field(validator=validator)})
    cls(value)


@pytest.mark.parametrize(
    ("validator", "value"),
    [
        (validators.share, 0),
        (validators.share, 1.0),
        (validators.amount, 0),
        (validators.amount, 1e12),
        (validators.spread, 5),
        (validators.whole, 0),
        (validators.whole, 10**9),
        (validators.pixels, 16),
        (validators.pixels, 2_048),
        (validators.span, None),
        (validators.span, 0),
        (validators.span, (0, 0)),
        (validators.span, (1, 2.5)),
        (validators.header, None),
        (validators.header, ""),
        (validators.header, "120 ~"),
    ],
)
def test_values_up_to_the_bounds_are_fine(validator: Callable[..., None], value: object) -> None:
    judge(validator, value)


@pytest.mark.parametrize(
    ("validator", "value", "words"),
    [
        (validators.share, -0.01, "a number of at least 0 and at most 1, not -0.01"),
        (validators.share, 1.01, "at most 1, not 1.01"),
        (validators.share, math.nan, "not nan"),
        (validators.share, "1", "not '1'"),
        (validators.amount, -1, "a number of at least 0, not -1"),
        (validators.amount, math.inf, "not inf"),
        (validators.amount, None, "not None"),
        (validators.spread, 5.1, "at least 0 and at most 5, not 5.1"),
        (validators.whole, -1, "a whole number, at least 0, not -1"),
        (validators.whole, 1.0, "a whole number"),
        (validators.whole, "1", "a whole number"),
        (validators.pixels, 15, "at least 16 and at most 2048, not 15"),
        (validators.pixels, 2_049, "at most 2048"),
        (validators.pixels, 64.0, "a whole number"),
        (validators.span, -1, "a number of at least 0"),
        (validators.span, (2, 1), r"\(lowest, highest\), not \(2, 1\)"),
        (validators.span, (-1, 1), "at least 0, not -1"),
        (validators.span, (0, math.inf), "not inf"),
        (validators.span, ("a", "b"), "not 'a'"),
        (validators.header, "1\r\nX: y", "printable ASCII"),
        (validators.header, "é", "printable ASCII"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_the_name_of_its_field(
    validator: Callable[..., None], value: object, words: str
) -> None:
    with pytest.raises(ValueError, match=f"the_field must be .*{words}"):
        judge(validator, value)


def test_shares_may_fill_the_whole_despite_the_error_of_floats() -> None:
    tenth: list[tuple[object, float]] = [(None, 0.1)] * 10

    validators.fit("these", tenth)
    validators.fit("these", [])
    validators.fit("these", [(None, 0.2), (None, 0.4), (None, 0.3), (None, 0.1)])


def test_shares_over_the_whole_are_refused_with_their_sum() -> None:
    shares: list[Any] = [(None, 0.6), (None, 0.6)]

    with pytest.raises(ValueError, match=r"these add up to 1\.2, over 1"):
        validators.fit("these", shares)
