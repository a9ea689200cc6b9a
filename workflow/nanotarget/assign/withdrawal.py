"""A person withdraws: what of her can be erased, and what cannot be undone.

Raw files lose her rows, the ledger her id; private results go as a whole, as every model and table was
learned or counted with her, and are made again by the next run. Nothing is kept aside: a copy would not be an
erasure.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from nanotarget.assign.ledger import bury, read_ledger
from nanotarget.clean.cells import read_ids
from nanotarget.clean.parts import raw_files
from nanotarget.clean.raw import TEXT_ENDINGS, read_raw, without_rows
from nanotarget.clean.rewritten import rewrite
from nanotarget.study.artefacts import replacing, write_bytes
from nanotarget.study.config import CalibrationConfig, ExperimentConfig, RosterConfig, Study
from nanotarget.study.private import PRIVATE
from nanotarget.study.problems import InputError, Problem, counted

LASTING = (
    "what was shown or sent to her",
    "uploads to a survey platform (fielding list, cards), which have to be corrected there",
    "backups and copies elsewhere, and the history of a repository that holds the data",
    "deposits in archives, and what was published",
    "what a frozen model learned from her: without her another one is learned, and a registration that has "
    "the checksum of the first no longer fits",
)


@dataclass(frozen=True)
class Erasure:
    """One thing that is erased: where, what, and how it is done."""

    place: str
    what: str
    erase: Callable[[], None]


def erasures(study: Study, identity: str) -> list[Erasure]:
    """Return everything of a person that can be erased here.

    Args:
        study: the config.
        identity: her id, as in the raw files; no message repeats it.

    Raises:
        InputError: if nobody has it.
    """
    (wanted,) = read_ids(pd.Series([identity], dtype="str"))
    found = [*_of_files(study, wanted), *_of_ledger(study, wanted)]
    if not found:
        what = "no raw file and no ledger of the study holds this id"
        remedy = "type it as it stands in the column of the respondent; who took part twice has two"
        raise InputError([Problem("ID", "the person", what, "the id of a respondent", remedy)])
    return found + list(_of_results(study))


def _of_files(study: Study, wanted: str) -> Iterator[Erasure]:
    found: dict[str, np.ndarray] = {}
    for sample in (study.calibration, study.experiment, study.roster):
        for file in map(str, raw_files(sample.file) if sample else []):
            if sample and len(rows := _rows_of(sample, file, wanted)):
                found[file] = np.union1d(found.get(file, rows[:0]), rows)
    for file, rows in found.items():
        yield Erasure(file, f"{counted(len(rows), 'row')} of her", partial(_erase_rows, Path(file), rows))


def _rows_of(
    sample: CalibrationConfig | ExperimentConfig | RosterConfig, file: str, wanted: str
) -> np.ndarray:
    """Rows of a raw file that are hers, as a spreadsheet numbers them."""
    raw = read_raw(file, sample.header_rows)
    if sample.respondent not in raw:
        return np.array([], dtype=int)
    return raw.index[(read_ids(raw[sample.respondent].fillna("")) == wanted).to_numpy()].to_numpy()


def _erase_rows(file: Path, rows: np.ndarray) -> None:
    ending = file.name.lower().removesuffix(".gz")
    if ending.endswith(TEXT_ENDINGS):
        write_bytes(without_rows(file, set(rows.tolist())), file)
        return
    with replacing(file) as temporary:
        if ending.endswith(".parquet"):
            table = pq.read_table(file)
            keep = np.ones(table.num_rows, dtype=bool)
            keep[rows - 1] = False
            pq.write_table(table.filter(keep), temporary)
        else:
            rewrite(file, rows, temporary)


def _of_ledger(study: Study, wanted: str) -> Iterator[Erasure]:
    if study.roster is None or not Path(study.roster.ledger).exists():
        return
    if (read_ledger(study.roster.ledger, study.roster.arms)["respondent_id"] == wanted).any():
        what = "her id; that somebody was randomised to her arm stays"
        yield Erasure(
            study.roster.ledger, what, partial(bury, study.roster.ledger, study.roster.arms, wanted)
        )


def _of_results(study: Study) -> Iterator[Erasure]:
    for folder, what in {
        Path("results") / study.study / PRIVATE: "all private results; the next run makes them again",
        Path("logs") / study.study: "logs of the jobs",
    }.items():
        if folder.is_dir():
            yield Erasure(str(folder), what, partial(shutil.rmtree, folder))
