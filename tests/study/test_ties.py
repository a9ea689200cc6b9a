"""Numbers that differ by an ulp decide nothing."""

import numpy as np
import pytest

from nanotarget.study import ties
from nanotarget.study.seeds import child_rng


def nudged(values, seed=0):
    """The same numbers as another machine might have summed them."""
    steps = child_rng(seed, "ulps").integers(-1, 2, np.shape(values))
    return np.where(
        steps < 0, np.nextafter(values, -np.inf), np.where(steps > 0, np.nextafter(values, np.inf), values)
    )


@pytest.fixture
def values():
    return child_rng(1, "ties").integers(-3, 4, 200) / 7


@pytest.mark.parametrize("seed", range(5))
def test_an_ulp_changes_nothing(values, seed):
    order = child_rng(seed, "order").permutation(len(values))
    again = nudged(values, seed)
    for reference in np.unique(values):
        assert (ties.as_large(again, reference) == (values >= reference)).all()
        assert ties.share_as_large(again[order], reference) == (1 + (values >= reference).sum()) / 201
    assert ties.first_smallest(again) == np.argmin(values)
    groups = np.unique(ties.joined(again[order]), return_inverse=True)[1]
    assert (groups == np.unique(values, return_inverse=True)[1][order]).all()
    assert (ties.floor(nudged(values * 7, seed)) == np.rint(values * 7)).all()


def test_what_differs_stays_apart():
    values = np.array([1.0, 1 + 1e-6, np.nan, -np.inf, 1.0, 2.0, np.inf])
    np.testing.assert_array_equal(ties.joined(values), values)
    assert ties.as_large(values, 1 + 1e-6).tolist() == [False, True, False, False, False, True, True]
    assert ties.first_smallest([3.0, 2.0 + 1e-6, 2.0, np.inf]) == 2
    assert ties.floor(np.array([0.999999, 2.5, -0.5])).tolist() == [0, 2, -1]
    assert not len(ties.joined(np.zeros(0)))
