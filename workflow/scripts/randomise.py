"""Randomise the roster to arms, record new people in the ledger, and compare the arms."""

from nanotarget.assign.ledger import LEDGER_COLUMNS, append_to_ledger, locked, read_ledger
from nanotarget.assign.randomise import randomise
from nanotarget.assign.shards import cut, to_be_drawn
from nanotarget.estimate import Trial, balance
from nanotarget.estimate.sample import published_balance
from nanotarget.study import artefacts, shards
from nanotarget.study.config import CovariateConfig, RosterArmConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_arms(inputs, outputs, params):
    """Write the ledger first: what is written after it can be made again from it."""
    arms, ledger = RosterArmConfig.validate_list(params.arms), params.ledger
    roster = shards.parts(inputs.roster)
    # The ledger outlives secrets and results: it knows people, and draws them, by their own ids.
    people = to_be_drawn(roster, shards.parts(inputs.ids), params.blocks)
    with locked(ledger):
        recorded = read_ledger(ledger, arms)
        drawn = randomise(people, arms, recorded, params.seed)
        append_to_ledger(ledger, recorded, drawn)
    pseudonyms = (shards.read_part(part, ["respondent_id"]) for part in roster)
    tables = (
        people.join(rows[LEDGER_COLUMNS[1:]])
        for people, rows in zip(pseudonyms, cut(drawn, roster), strict=True)
    )
    artefacts.write_csv_parts(tables, outputs.arms)
    names, covariates = [arm.name for arm in arms], CovariateConfig.validate_list(params.covariates)
    trials = (
        Trial(shards.read_part(part).assign(arm=rows["arm"]), names, covariates=covariates)
        for part, rows in zip(roster, cut(drawn, roster), strict=True)
    )
    compared = balance(next(trials), trials).drop(columns="deviation")
    artefacts.write_csv(published_balance(compared, params.min_cell), outputs.balance)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_arms(snakemake.input, snakemake.output, snakemake.params)
