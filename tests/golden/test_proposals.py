"""`nanotarget init` on every data set that has a hand-written config."""

import pytest

from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from proposals import HAND_WRITTEN, TABLE, comparisons, page

pytestmark = pytest.mark.golden


@pytest.fixture(scope="module")
def compared(reference):
    return comparisons(reference)


def test_the_table_in_docs_is_what_init_does_now(compared):
    assert TABLE.read_text(encoding="utf-8") == page(compared), "run `make proposals`"


def test_every_proposal_passes_check(compared):
    assert len(compared) == len(HAND_WRITTEN)
    for comparison in compared:
        config = comparison.config
        design = check_design(config.design, "proposal") if config.design else None
        samples = read_samples(config, design)
        assert (samples.calibration is None) == (config.calibration is None)
        assert samples.calibration or samples.experiment


def test_no_structure_is_missed(compared):
    """Ids, attributes, levels, tasks, outcomes of the calibration, arms and identifiers are all found."""
    exact = (
        "ids",
        "tasks",
        "attributes",
        "levels",
        "prohibited",
        "calibration outcomes",
        "arms",
        "identifiers",
    )
    for comparison in compared:
        for column in exact:
            cell = comparison.cells[column]
            right, _, of = cell.partition(" of ")
            assert cell == "–" or right == of, (comparison.cells["study"], column, cell)
