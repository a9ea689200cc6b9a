"""Figures of the assignment: who gets which petition."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.figures.page import Drawn, Key, chart, log_counts, spread_over
from nanotarget.report.theme import Names


def petitions(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw how often each policy assigns its petitions, from the most to the least frequent.

    Args:
        table: assign/petitions.csv; those that few people get are pooled, and drawn at their mean.
        names: labels.

    The data hold ranks and counts but no petition.
    """
    data = table[["policy"]].assign(
        rank=table.groupby("policy", sort=False)["petitions"].cumsum() - table["petitions"] + 1,
        petitions=table["petitions"],
        n_assigned=table["n"],
    )
    distinct = data.groupby("policy", sort=False)["petitions"].sum()
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
            ends = group.tail(1).assign(rank=group["rank"] + group["petitions"] - 1)
            line = pd.concat([group, ends[ends["petitions"] > 1]])
            axes.plot(
                line["rank"],
                line["n_assigned"] / line["petitions"],
                marker=theme.MARKERS[k],
                markersize=3.4,
                color=theme.PALETTE[k],
                markeredgecolor=theme.INK,
                markeredgewidth=0.4,
                markevery=spread_over(line["rank"].to_numpy()),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(0.8, max(10, distinct.max() * 1.25))
        axes.set_ylim(0.8, data["n_assigned"].max() * 1.6)
        log_counts(axes.xaxis)
        log_counts(axes.yaxis)

    figure = chart(draw, names, keys, x="Petitions, most assigned first", y="Respondents assigned")
    described = "; ".join(
        f"{theme.POLICIES.get(str(p), str(p))} {theme.count(n)}" for p, n in distinct.items()
    )
    return Drawn(
        figure,
        data,
        f"Number of respondents by petition, ranked; the last point of a policy is the mean of all that few "
        f"people get. Distinct petitions: {described}.",
    )
