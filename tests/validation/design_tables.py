"""Which design of an experiment does each estimator know, and does it keep its promises there?

What `designs.py` finds is added to the committed rows of docs/validation_experiment/: sums over a batch of
replications, by design and estimator, with a hash of the code. `--summary` puts the tables into
docs/validation_experiment.md.

Usage: PYTHONPATH=tests:tests/benchmark:tests/validation python tests/validation/design_tables.py
    [--replications N] [--minutes M] [--summary]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from designs import BATCH, DESIGNS, KEYS, ROOT, SUMS, analyse, batch, code, draw
from nanotarget.estimate.trial import Trial
from nanotarget.study.seeds import child_rng

FOLDER = ROOT / "docs" / "validation_experiment"
BEGIN, END = "<!-- designs: begin -->", "<!-- designs: end -->"


def rows_in(path: Path) -> pd.DataFrame:
    """Return the committed rows of a design; none if there are none."""
    columns = ["design", "batch", "code", *KEYS, *SUMS]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    return pd.read_csv(path, keep_default_na=False, dtype={"code": str})[columns]


def path_of(name: str) -> Path:
    """Return the file of a design."""
    return FOLDER / f"{name.replace(' ', '_')}.csv"


def missing(replications: int) -> Iterator[tuple[str, int]]:
    """Yield what is to be computed, so that all designs grow alike; rows of other code are made again."""
    for number in range(-(-replications // BATCH)):
        for name in DESIGNS:
            rows = rows_in(path_of(name))
            if number not in set(rows.loc[rows["code"] == code(), "batch"]):
                yield name, number


def run(replications: int, minutes: float) -> None:
    """Add batches until all are there or time is up."""
    FOLDER.mkdir(exist_ok=True)
    end = time.monotonic() + 60 * minutes
    for name, number in missing(replications):
        if time.monotonic() > end:
            return
        path, new = path_of(name), batch(name, number)
        old = rows_in(path)
        old = old[(old["batch"] != number) & (old["code"] == code())]
        table = pd.concat([old, new[old.columns]]) if len(old) else new[rows_in(path).columns]
        scratch = path.with_suffix(".tmp")
        table.sort_values("batch", kind="stable").to_csv(scratch, index=False, float_format="%.8g")
        scratch.replace(path)


def label(row: pd.Series) -> str:
    """Name an estimator as tables do."""
    more = ", ".join(part for part in (row["quantity"], row["se_type"]) if part)
    return f"`{row['estimator']}`" + (f" ({more})" if more else "")


# What a design adds, and what takes its place where an estimator is not told of it.
TOLD = {
    "blocked": ("block", None),
    "clustered": ("cluster", None),
    "clustered within": ("outcome_cluster", None),
    "weighted": ("weight", 1.0),
}
# What is left aside on purpose.
SAMPLE = "weights left aside: it is the sample that is examined"
ASIDE = {
    ("attrition, F", "weighted"): SAMPLE,
    ("attrition, chi-squared", "weighted"): SAMPLE,
    ("differential attrition", "weighted"): SAMPLE,
    ("ri", "clustered within"): "redraws people, as they were drawn: tests that nobody responds",
}
NUMBERS = {"estimate": ["estimate"], "errors": ["std_error", "conf_low", "conf_high", "p_value"]}


def supported() -> pd.DataFrame:
    """Ask every estimator in every design: (estimators, designs) of what it makes of it, or why of nothing.

    What an estimator makes of blocks, clusters or weights is what changes where it is not told of them.

    Raises:
        ValueError: if nothing changes and nobody says that this is meant.
    """
    cells: dict[str, dict[str, str]] = {}
    for name, design in DESIGNS.items():
        trial = draw(design, child_rng(0, f"designs/{name}"))
        rows = analyse(trial, 0).to_dict("records")
        untold = analyse(_untold(trial, name), 0).to_dict("records") if name in TOLD else rows
        same = {(row["estimator"], row["quantity"], _fixed(row)): row for row in untold}
        for row in rows:
            other = same[row["estimator"], row["quantity"], _fixed(row)]
            key = label(pd.Series(row | ({} if _fixed(row) else {"se_type": ""})))
            cells.setdefault(key, {})[name] = _said(row, other, name)
    return pd.DataFrame(cells).T[list(DESIGNS)]


def _fixed(row: dict[str, object]) -> str:
    """Return errors that are asked for, whatever the design."""
    return str(row["se_type"]) if row["estimator"] == "logit" and row["se_type"] in ("model", "HC0") else ""


def _untold(trial: Trial, name: str) -> Trial:
    """Take what the design adds out of a trial."""
    column, instead = TOLD[name]
    if instead is None:
        return replace(trial, table=trial.table.drop(columns=column))
    return trial.with_columns(**{column: instead})


def _said(row: dict[str, object], other: dict[str, object], name: str) -> str:
    """Say by what errors an estimator is, and what the design changes in it; or why it has no numbers."""
    if pd.isna(row["p_value"]) and pd.isna(row["conf_low"]):
        return f"refused: {row['note']}"
    if name not in TOLD:
        return str(row["se_type"] or "yes")
    changed = [
        what
        for what, columns in NUMBERS.items()
        if not np.allclose([row[c] for c in columns], [other[c] for c in columns], 1e-6, 0, equal_nan=True)
    ]
    aside = ASIDE.get((str(row["estimator"]), name))
    if bool(changed) == bool(aside):
        raise ValueError(
            f"{row['estimator']} in design '{name}': changes {changed}, said to be left aside: {aside}"
        )
    return "; ".join(filter(None, [str(row["se_type"]), aside or " and ".join(changed)]))


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate rates in percent with Monte Carlo errors, a row a design and estimator."""
    keys = ["design", *KEYS]
    order = {name: i for i, name in enumerate(DESIGNS)}
    sums = rows.groupby(keys, sort=False)[list(SUMS)].sum().reset_index()
    sums = sums.sort_values("design", key=lambda names: names.map(order), kind="stable")
    n, intervals = sums["n"], sums["covered"] + sums["missed"]
    bias = sums["error"] / n
    spread = np.sqrt(np.maximum(sums["square"] / n - bias**2, 0))
    covered = sums["covered"] / intervals.where(intervals > 0)
    rejected = sums["rejected"] / n
    return sums.assign(
        bias=bias,
        bias_error=spread / np.sqrt(n),
        ratio=np.sqrt(sums["variance"] / n) / spread.where(spread > 0),
        rejected=100 * rejected,
        rejected_error=100 * np.sqrt(rejected * (1 - rejected) / n),
        covered=100 * covered,
        covered_error=100 * np.sqrt(covered * (1 - covered) / intervals),
    )


def pages() -> str:
    """Return the tables of the page as Markdown."""
    from recovery import table

    known = supported()
    lines = [[key, *cells] for key, cells in zip(known.index, known.to_numpy().tolist(), strict=True)]
    parts = ["### What each estimator does in each design", table(["estimator", *known.columns], lines)]
    rows = [rows_in(path_of(name)) for name in DESIGNS]
    rows = pd.concat([part for part in rows if len(part)], ignore_index=True) if any(map(len, rows)) else None
    if rows is not None:
        lines = []
        for row in summarise(rows).to_dict("records"):
            bare = row["estimator"] == "lee" or pd.isna(row["covered"])
            lines.append(
                [
                    row["design"],
                    label(pd.Series(row)),
                    f"{row['n']:,}",
                    "-" if pd.isna(row["covered"]) else f"{row['bias']:.4f} ({row['bias_error']:.4f})",
                    "-" if bare else f"{row['ratio']:.2f}",
                    "-"
                    if row["estimator"] == "lee"
                    else f"{row['rejected']:.1f} ({row['rejected_error']:.1f})",
                    "-" if pd.isna(row["covered"]) else f"{row['covered']:.1f} ({row['covered_error']:.1f})",
                ]
            )
        header = [
            "design",
            "estimator",
            "n",
            "bias",
            "error / spread",
            "rejected at 5%, %",
            "95% interval covers, %",
        ]
        parts += ["### Size and coverage", table(header, lines)]
    return "\n\n".join(parts)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=2000, help="a design")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which nothing is begun")
    parser.add_argument("--summary", action="store_true", help="write the tables of what is there")
    chosen = parser.parse_args()
    if not chosen.summary:
        run(chosen.replications, chosen.minutes)
        return
    from summary import EXPERIMENTS, put

    put(EXPERIMENTS, pages(), BEGIN, END)


if __name__ == "__main__":
    main()
