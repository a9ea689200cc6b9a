"""Randomise the roster to arms, record new people in the ledger, and compare the arms."""

import pandas as pd

from nanotarget.assign.ledger import LEDGER_COLUMNS, append_to_ledger, locked, read_ledger
from nanotarget.assign.randomise import randomise
from nanotarget.clean.blocks import blocks_of
from nanotarget.clean.pseudonyms import ids_of
from nanotarget.estimate import Trial, balance, published_balance
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, RosterArmConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_arms(inputs, outputs, params):
    """Write the ledger first: what is written after it can be made again from it."""
    arms, ledger = RosterArmConfig.validate_list(params.arms), params.ledger
    roster = artefacts.read_parquet(inputs.roster)
    # The ledger outlives secrets and results: it knows people, and draws them, by their own ids.
    ids = ids_of(artefacts.read_parquet(inputs.ids), "roster")
    people = pd.DataFrame(
        {"respondent_id": roster["respondent_id"].map(ids), "block": blocks_of(roster, params.blocks)}
    )
    with locked(ledger):
        recorded = read_ledger(ledger, arms)
        drawn = randomise(people, arms, recorded, params.seed)
        append_to_ledger(ledger, recorded, drawn)
    pseudonyms = pd.Series(ids.index, index=ids)
    drawn = drawn.assign(respondent_id=drawn["respondent_id"].map(pseudonyms)).sort_values("respondent_id")
    artefacts.write_csv(drawn[LEDGER_COLUMNS], outputs.arms)
    table = roster.merge(drawn[["respondent_id", "arm"]], on="respondent_id", validate="1:1")
    covariates = CovariateConfig.validate_list(params.covariates)
    compared = balance(Trial(table, [arm.name for arm in arms], covariates=covariates))
    artefacts.write_csv(
        published_balance(compared.drop(columns="deviation"), params.min_cell), outputs.balance
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_arms(snakemake.input, snakemake.output, snakemake.params)
