"""Where figures and tables come from: the files and rules behind them, for the page and the README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from nanotarget.report.catalogue import Exhibit


@dataclass(frozen=True)
class Maker:
    """A rule of the workflow and the script that it runs (its path in the project)."""

    rule: str
    script: str


@dataclass(frozen=True)
class Origin:
    """Where a figure or table comes from.

    Attributes:
        file: its numbers, below the folder of the results.
        maker: what made it.
        sources: tidy tables whose numbers it shows (paths below the results) -> what made them.
    """

    file: str
    maker: Maker
    sources: Mapping[str, Maker] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the file with the numbers."""
        return PurePath(self.file).name


def origin(exhibit: Exhibit, tidy: Mapping[str, str], makers: Mapping[str, Maker]) -> Origin:
    """Say where an exhibit comes from.

    Args:
        exhibit: figure or table.
        tidy: stem -> path of each tidy table, below the folder of the results.
        makers: path of an artefact, below that folder -> what made it.
    """
    file = f"{exhibit.kind}/{exhibit.name}.csv"
    return Origin(file, makers[file], {tidy[stem]: makers[tidy[stem]] for stem in exhibit.sources})


def list_of_exhibits(origins: Iterable[Origin]) -> str:
    """Write the figures and tables of a study with the rules and scripts that make them and their numbers."""
    head = "| figure or table | rule, script | shows the numbers of | rule, script |\n|---|---|---|---|\n"
    rows = []
    for found in origins:
        makers = dict.fromkeys(map(_written, found.sources.values()))
        shown = ", ".join(f"`{path}`" for path in found.sources)
        name = found.file.removesuffix(".csv")
        rows.append(f"| `{name}` | {_written(found.maker)} | {shown} | {'; '.join(makers)} |\n")
    return head + "".join(rows)


def _written(maker: Maker) -> str:
    return f"{maker.rule}, `{PurePath(maker.script).name}`"
