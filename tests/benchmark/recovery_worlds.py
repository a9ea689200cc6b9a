"""Worlds beside those of `worlds`: what covariates tell is not linear, or few of many tell anything."""

import numpy as np
import pandas as pd

from worlds import WORLDS, as_respondents, draw_part_worths, draw_people, world_of

MANY = 40  # numeric covariates where few of many matter


def draw_respondents(world, n, rng):
    """Draw respondents of a world; also return the config of their covariates."""
    if world != "many":
        return draw_people(n, rng)
    return as_respondents(pd.DataFrame(rng.normal(size=(n, MANY)), columns=[f"z{j}" for j in range(MANY)]))


def products(design, rng):
    """Two covariates matter only together: who is on the same side of both medians wants the opposite."""
    common, wants = draw_part_worths(design, rng, 0.2), draw_part_worths(design, rng, 0.2)
    return world_of(
        design,
        common,
        lambda people: np.where((people["z0"] > 0) == (people["z1"] > 0), 1.0, -1.0)[:, None] * wants,
    )


def corner(design, rng):
    """A quarter of the people, high in two covariates, wants something of its own."""
    common, wants = draw_part_worths(design, rng, 0.2), draw_part_worths(design, rng, 0.4)
    return world_of(
        design, common, lambda people: ((people["z0"] > 0) & (people["z1"] > 0)).to_numpy()[:, None] * wants
    )


def many(design, rng):
    """Two of forty covariates matter, linearly."""
    common = draw_part_worths(design, rng, 0.2)
    slopes = draw_part_worths(design, rng, 0.2 / np.sqrt(2), 2)
    return world_of(design, common, lambda people: people[["z0", "z1"]].to_numpy() @ slopes)


def sparse(design, rng):
    """One covariate matters, linearly, and for one attribute only."""
    common, slope = draw_part_worths(design, rng, 0.2), draw_part_worths(design, rng, 0.4)
    slope[design.shape[0] :] = 0.0
    return world_of(design, common, lambda people: people[["z0"]].to_numpy() * slope)


ALL = WORLDS | {world.__name__: world for world in (products, corner, many, sparse)}
