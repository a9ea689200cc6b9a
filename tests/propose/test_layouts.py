"""`init` on layouts drawn at random; docs/proposals.md has the rates."""

import pytest

from layouts import draw, outcome


@pytest.mark.parametrize("seed", range(6))
def test_layouts_drawn_at_random(tmp_path, seed):
    parts = outcome(draw(seed), tmp_path)
    assert all(right == of for part, (right, of) in parts.items() if part != "order"), parts
    right, of = parts.get("order", (1, 1))
    assert right >= of - 1
