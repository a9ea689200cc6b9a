"""Probability that a petition is a respondent's best, over posterior draws, and a card for each of them."""

from nanotarget.assign.cards import Compared, cards, lines, switches
from nanotarget.assign.uncertainty import certainty, find_candidates, summary
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.petitions.design import Design
from nanotarget.petitions.policy import nano, overall_best
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig
from nanotarget.study.keyed import sampled
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_uncertainty(inputs, outputs, design, size, covariates):
    """Write the table of respondents, its summary, and the cards."""
    design = Design.from_config(DesignConfig.model_validate(design))
    model = read_frozen(inputs.settings, inputs.arrays, inputs.digest, design)
    roster = sampled(artefacts.read_parquet(inputs.roster))
    people = roster[~roster["opt_out"]] if "opt_out" in roster else roster
    population = artefacts.read_parquet(inputs.population)
    best = overall_best(model.utilities(population), population["weight"].to_numpy())
    chosen = nano(model.utilities(people))
    candidates = find_candidates(model, people, [*chosen, best], size)
    table = certainty(model, people, chosen, best, candidates)
    artefacts.write_parquet(table, outputs.respondents)
    artefacts.write_csv(summary(table, candidates, model.n_draws), outputs.summary)
    covariates = CovariateConfig.validate_list(covariates)
    found = switches(model, people, population, chosen, best, covariates)
    digest = artefacts.sha256(inputs.arrays)
    artefacts.write_text(
        lines(cards(model, Compared(people, chosen, best, table), found, digest)), outputs.cards
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_uncertainty(
            snakemake.input,
            snakemake.output,
            snakemake.params.design,
            snakemake.params.candidates,
            snakemake.params.covariates,
        )
