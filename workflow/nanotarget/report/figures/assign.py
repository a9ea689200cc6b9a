"""Figures of the assignment: who gets which petition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nanotarget.report import theme
from nanotarget.report.figures.page import Drawn, Key, chart, log_counts, spread_over
from nanotarget.report.theme import Names


def petitions(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw how often each policy assigns its petitions, from the most to the least frequent.

    Args:
        table: assign/petitions.csv; the columns n_<policy> count respondents.
        names: labels.

    The data hold ranks and counts but no petition: a near-unique petition identifies a person.
    """
    parts = []
    for column in [c for c in table.columns if c.startswith("n_")]:
        counts = np.sort(table[column].fillna(0).to_numpy(dtype=np.int64))[::-1]
        counts = counts[counts > 0]
        parts.append(
            pd.DataFrame(
                {
                    "policy": column.removeprefix("n_"),
                    "rank": np.arange(1, len(counts) + 1),
                    "n_assigned": counts,
                }
            )
        )
    data = pd.concat(parts, ignore_index=True)
    distinct = data.groupby("policy", sort=False).size()
    keys = [
        Key(
            f"{theme.POLICIES.get(str(p), str(p))}: {theme.count(n)} petition{'s' if n != 1 else ''}",
            theme.MARKERS[k],
            fill=theme.PALETTE[k],
        )
        for k, (p, n) in enumerate(distinct.items())
    ]

    def draw(axes: Any) -> None:
        for k, (_, group) in enumerate(data.groupby("policy", sort=False)):
            axes.plot(
                group["rank"],
                group["n_assigned"],
                marker=theme.MARKERS[k],
                markersize=3.4,
                color=theme.PALETTE[k],
                markeredgecolor=theme.INK,
                markeredgewidth=0.4,
                markevery=spread_over(group["rank"].to_numpy()),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(0.8, max(10, data["rank"].max() * 1.25))
        axes.set_ylim(0.8, data["n_assigned"].max() * 1.6)
        log_counts(axes.xaxis)
        log_counts(axes.yaxis)

    figure = chart(draw, names, keys, x="Petitions, most assigned first", y="Respondents assigned")
    described = "; ".join(
        f"{theme.POLICIES.get(str(p), str(p))} {theme.count(n)}" for p, n in distinct.items()
    )
    return Drawn(figure, data, f"Number of respondents by petition, ranked. Distinct petitions: {described}.")
