"""Check the config against the raw data and write the sizes of what is in order."""

from nanotarget.assign.check import check
from nanotarget.study.artefacts import write_json
from nanotarget.study.config import DataConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording

if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        config = DataConfig.model_validate(snakemake.params.study)
        write_json(check(config, snakemake.params.source), snakemake.output.report)
