"""`init` on layouts drawn at random and after manuals; docs/proposals.md has the rates."""

import pytest

import layouts
import manual_layouts
import odd_layouts


@pytest.mark.parametrize(
    "layout",
    [
        *map(layouts.draw, range(4)),
        *map(manual_layouts.draw, range(manual_layouts.TOOLS)),
        *map(odd_layouts.draw, (1, 2, 4, 7, 9, 12, 13)),  # what was wrong once
    ],
    ids=lambda layout: f"{layout.kind}-{layout.respondent}",
)
def test_layouts(tmp_path, layout):
    parts = layouts.outcome(layout, tmp_path)
    assert all(right == of for right, of in parts.values()), parts
