"""The experiment as it is analysed: who was randomised how to which arm, and what its estimates are called.

Every estimator is a function of a `Trial`. Weights, blocks and clusters are read here and nowhere else, and
here estimates are put together: adjusted for multiple comparisons, labelled, marked with deviations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from pydantic import Field

from nanotarget.calibrate.multiplicity import METHODS, adjusted
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.groups import group_codes
from nanotarget.estimate.labels import families, label_of, marked, own_family
from nanotarget.estimate.tables import CORRECTED, Table
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ArmConfig, CovariateConfig, OutcomeConfig, SubgroupConfig
from nanotarget.study.fields import Section
from nanotarget.study.preregistration import Registration

# What is estimated, by how blocks enter.
DIFFERENCE = "difference in means"
AVERAGED = "difference in means within blocks, averaged by size of block"


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Return every later arm with every earlier one: for a, b, c the pairs (b, a), (c, a), (c, b)."""
    return [(arms[j], arms[i]) for j in range(1, len(arms)) for i in range(j)]


@dataclass(frozen=True, eq=False)
class Scheme:
    """How people were randomised: labels of whole clusters were permuted within blocks.

    Attributes:
        block: (n,) code of everybody's block; all 0 without blocks.
        cluster: (n,) code of the unit that was randomised as a whole; all different if people were.
        unit: (n,) code of the people whose outcomes hang together, by which errors are clustered: the
            cluster, or a larger group inside which arms were drawn (pupils of a school).
    """

    block: np.ndarray
    cluster: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> Scheme:
        """Read the columns `block`, `cluster` and `outcome_cluster`; without them everybody is alone."""
        block, cluster = np.zeros(len(table), dtype=np.int64), np.arange(len(table))
        if "block" in table:
            block = pd.factorize(table["block"], sort=True)[0]
        if "cluster" in table:
            cluster = pd.factorize(table["cluster"], sort=True)[0]
        unit = cluster
        if "outcome_cluster" in table:
            unit = pd.factorize(table["outcome_cluster"], sort=True)[0]
        return cls(block, cluster, unit)

    @cached_property
    def clusters(self) -> np.ndarray | None:
        """(n,) units of several people, for standard errors; None where every person is a unit."""
        return self.unit if len(np.unique(self.unit)) < len(self.unit) else None

    @property
    def across(self) -> bool:
        """Whether outcomes hang together in larger units than were randomised."""
        return len(np.unique(self.unit)) < len(np.unique(self.cluster))

    @property
    def name(self) -> str:
        """Name the scheme: complete, blocked, clustered, or blocked and clustered."""
        blocked = len(np.unique(self.block)) > 1
        clustered = len(np.unique(self.cluster)) < len(self.cluster)
        return " and ".join(["blocked"] * blocked + ["clustered"] * clustered) or "complete"

    @property
    def unfit(self) -> str:
        """Why a test that takes every respondent for a draw of its own cannot be used; empty if it can."""
        if self.name != "complete":
            return f"not for a {self.name} assignment, which it ignores"
        return "" if self.clusters is None else "not for outcomes that hang together in clusters"

    def strata(self, weight: np.ndarray, members: Sequence[np.ndarray]) -> Strata:
        """Return the blocks within which arms can be compared.

        A block without two units of each arm has no variance there: such blocks are pooled, with the
        smallest other one if they still lack units. Units are those of `unit`.

        Args:
            weight: (n,) survey weights.
            members: (n,) rows of each arm that is compared; arms of fewer than two units are not.
        """
        members = [rows for rows in members if len(np.unique(self.unit[rows])) > 1]
        codes, size = self.block, int(self.block.max(initial=0)) + 1
        if size < 2 or not members:
            return Strata(np.zeros(len(codes), dtype=np.int64), weight, ())
        counts = np.zeros((size, len(members)), dtype=np.int64)
        for j, rows in enumerate(members):
            cells = np.unique(np.column_stack([codes[rows], self.unit[rows]]), axis=0)[:, 0]
            counts[:, j] = np.bincount(cells, minlength=size)
        pooled: np.ndarray = np.any(counts < 2, axis=1)
        by_size = np.argsort(counts.sum(axis=1), kind="stable")
        remarks: tuple[str, ...] = ()
        if pooled.any():
            while (counts[pooled].sum(axis=0) < 2).any() and not pooled.all():
                pooled[next(i for i in by_size if not pooled[i])] = True
            remarks = (f"{pooled.sum()} blocks are pooled: fewer than two units of an arm in a block",)
            codes = np.where(pooled[codes], size, codes)
        return Strata(np.unique(codes, return_inverse=True)[1], weight, remarks)

    def problem(self, arm: np.ndarray) -> str:
        """Say in what the arms contradict the scheme; empty if they do not."""
        for what, codes in (("arm", pd.factorize(arm)[0]), ("block", self.block)):
            cells = np.unique(np.column_stack([self.cluster, codes]), axis=0)[:, 0]
            split = np.count_nonzero(np.bincount(cells) > 1)
            if split:
                return f"{split} clusters are in more than one {what}, so they were not randomised as wholes"
        return ""


@dataclass(frozen=True, eq=False)
class Strata:
    """Blocks within which arms are compared; their results are averaged by the size of the blocks.

    Attributes:
        code: (n,) block of each respondent, from 0 without gaps.
        weight: (n,) survey weights.
        remarks: what was done to the blocks.
    """

    code: np.ndarray
    weight: np.ndarray
    remarks: tuple[str, ...]

    @cached_property
    def size(self) -> np.ndarray:
        """(blocks,) share of the weight of all respondents in each block."""
        return np.bincount(self.code, self.weight) / self.weight.sum()

    @property
    def several(self) -> bool:
        """Whether there is more than one block."""
        return len(self.size) > 1

    @property
    def columns(self) -> np.ndarray:
        """(n, blocks - 1) centred indicators of all blocks but the first."""
        dummies = (self.code[:, None] == np.arange(1, len(self.size))).astype(np.float64)
        return dummies - np.average(dummies, axis=0, weights=self.weight) if self.several else dummies

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """Return the weights, summing to 1, by which some respondents represent the blocks of all.

        Within a block they are in proportion to the survey weights and sum to the block's share, so that the
        weighted mean of an arm is its mean in every block, averaged by the size of the blocks.

        Args:
            rows: (n,) booleans; blocks without any of them are represented by nobody.
        """
        code, weight = self.code[rows], self.weight[rows]
        return weight * self.size[code] / np.bincount(code, weight, minlength=len(self.size))[code]


class TrialConfig(Section):
    """The parts of a config that say what a trial is; rules hand them to the scripts of the experiment.

    Attributes:
        arms, outcomes: of the experiment.
        covariates: the allow-list.
        adjust, sesoi, alpha, tighten: of the section `estimate`.
    """

    arms: list[ArmConfig]
    outcomes: list[OutcomeConfig]
    covariates: list[CovariateConfig]
    adjust: list[str]
    sesoi: dict[str, float]
    alpha: float
    tighten: list[str] = Field([])


@dataclass(frozen=True, eq=False)
class Trial:
    """An experiment, or a part of its respondents.

    Attributes:
        table: rows of `contracts.experiment`.
        arms: names in order; a contrast is a later arm minus an earlier one.
        outcomes: what is analysed.
        covariates: the allow-list.
        adjust: those of them that effects are adjusted for.
        unfielded: arms to which nothing was to be delivered.
        sesoi: smallest effect of interest by outcome.
        alpha: intervals have level 1 - alpha.
        tighten: names of covariates by whose cells Lee's bounds are tightened.
        shares: of the arms by design, where it does not fix them by the realised ones of every block.
        registration: gives labels and families; without one every estimate is exploratory.
        deviations: from `deviations.deviations`.
    """

    table: pd.DataFrame
    arms: Sequence[str]
    outcomes: Sequence[OutcomeConfig] = ()
    covariates: Sequence[CovariateConfig] = ()
    adjust: Sequence[CovariateConfig] = ()
    unfielded: Sequence[str] = ()
    sesoi: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    tighten: Sequence[str] = ()
    shares: Mapping[str, float] | None = None
    registration: Registration | None = None
    deviations: pd.DataFrame | None = None

    @classmethod
    def of(cls, table: pd.DataFrame, config: TrialConfig) -> Trial:
        """Take the trial of a config, without registration and deviations."""
        return cls(
            table,
            [arm.name for arm in config.arms],
            config.outcomes,
            config.covariates,
            [c for name in config.adjust for c in config.covariates if c.name == name],
            [arm.name for arm in config.arms if arm.policy is None],
            config.sesoi,
            config.alpha,
            config.tighten,
        )

    @classmethod
    def read(cls, experiment: str, registration: str | None, deviations: str, section: object) -> Trial:
        """Read a trial.

        Args:
            experiment: path of private/clean/experiment.parquet.
            registration: path of the pre-registration, if there is one.
            deviations: path of deviations.csv.
            section: what a rule hands over as `TrialConfig`.

        Raises:
            InputError: if the pre-registration is wrong.
        """
        return replace(
            cls.of(artefacts.read_parquet(experiment), TrialConfig.model_validate(section)),
            registration=preregistration.read(registration),
            deviations=artefacts.read_csv(deviations, dtype="str"),
        )

    # ------------------------------------------------------------------ respondents

    def among(self, rows: np.ndarray | pd.Series) -> Trial:
        """Take a part of the respondents, (n,) booleans."""
        return replace(self, table=self.table[np.asarray(rows)])

    def observed(self, outcome: str) -> Trial:
        """Take the respondents who were randomised and whose outcome is there."""
        return self.among(self.table[outcome].notna() & self.table["arm"].notna())

    def of_arms(self, *arms: str) -> Trial:
        """Take the respondents of some arms, which are compared in this order."""
        return replace(self, table=self.table[self.table["arm"].isin(arms)], arms=arms)

    def with_columns(self, **columns: np.ndarray | pd.Series | float | str) -> Trial:
        """Give the respondents other columns, or further ones."""
        return replace(self, table=self.table.assign(**columns))

    @cached_property
    def scheme(self) -> Scheme:
        """How these respondents were randomised."""
        return Scheme.of(self.table)

    @cached_property
    def strata(self) -> Strata:
        """The blocks within which these respondents' arms are compared."""
        return self.scheme.strata(self.weight, [self.members(arm) for arm in self.arms])

    @property
    def estimand(self) -> str:
        """What differences between the arms' means estimate."""
        return AVERAGED if "blocked" in self.scheme.name else DIFFERENCE

    @property
    def ignored(self) -> str:
        """Why a test of counts or ranks alone, without weights, cannot be used; empty if it can."""
        return "; ".join(
            [self.scheme.unfit] * bool(self.scheme.unfit) + ["not for survey weights"] * self.weighted
        )

    @property
    def weighted(self) -> bool:
        """Whether respondents count differently."""
        return bool(len(self.weight) and np.ptp(self.weight) > 0)

    @cached_property
    def weight(self) -> np.ndarray:
        """(n,) survey weights."""
        return self.table["weight"].to_numpy(np.float64)

    def y(self, outcome: str) -> np.ndarray:
        """(n,) outcome; NaN where it is missing."""
        return self.table[outcome].to_numpy(np.float64)

    def members(self, arm: str) -> np.ndarray:
        """(n,) who is in an arm."""
        return (self.table["arm"] == arm).to_numpy(bool)

    def groups(self, grouping: SubgroupConfig) -> tuple[list[str], np.ndarray]:
        """Return the groups of a grouping and the (n,) group of each respondent, as `group_codes`."""
        covariate = next(c for c in self.covariates if c.name == grouping.covariate)
        return group_codes(self.table[covariate.name], grouping, covariate)

    @property
    def outcome_names(self) -> list[str]:
        """Names of the outcomes."""
        return [outcome.name for outcome in self.outcomes]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The contrasts: a later and an earlier arm each."""
        return pairs(self.arms)

    # -------------------------------------------------------------------- estimates

    def published(self, parts: Sequence[pd.DataFrame], output: Table) -> pd.DataFrame:
        """Put estimates together as the rows of a table: adjusted, labelled and marked.

        P values are adjusted within `labels.families`, those that no registered family lists by the parts;
        what comes adjusted or labelled stays as it is. `CORRECTED` is for readers who hold to another
        correction, whatever is registered.

        Args:
            parts: each a family where none is registered, with the columns of the table that are not made
                here, and with outcome, estimator and contrast if they are to be adjusted or registered.
            output: the table.

        Returns:
            `output.columns`.
        """
        columns = list(output.columns)
        if not parts:
            numbers = [column for column in ESTIMATE_COLUMNS if column in columns]
            return pd.DataFrame(columns=columns).astype(dict.fromkeys(numbers, np.float64))
        estimates = pd.concat([rows.assign(part=i) for i, rows in enumerate(parts)], ignore_index=True)
        if "p_adjusted" in columns and "p_adjusted" not in estimates:
            estimates["family"] = families(self.registration, estimates)
            together = estimates["part"].where(estimates["family"] == own_family(estimates), -1)
            estimates["p_adjusted"] = adjusted(estimates["p_value"], estimates["family"], together)
        if CORRECTED[0] in columns:
            estimates = estimates.assign(**_corrected(estimates))
        if "label" in columns:
            labels = self.labelled(estimates)["label"]
            estimates["label"] = estimates["label"].fillna(labels) if "label" in estimates else labels
        return marked(estimates, output, self.deviations)[columns]

    def labelled(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Label estimates by their outcome, estimator and contrast; without an estimator as exploratory."""
        if "estimator" not in rows:
            return rows.assign(label="exploratory")
        estimates = zip(rows["outcome"], rows["estimator"], rows["contrast"], strict=True)
        return rows.assign(label=[label_of(self.registration, *estimate) for estimate in estimates])


# What tells one way to estimate an outcome's contrasts from another, where a table has it.
PROCEDURE = ("estimator", "quantity", "scale", "se_type", "sample", "adjustment")


def _corrected(estimates: pd.DataFrame) -> dict[str, pd.Series]:
    """Return `CORRECTED`: p values adjusted over the tests of one procedure, within and across outcomes."""
    procedure = [estimates[column].fillna("") for column in PROCEDURE if column in estimates]
    scopes = {"within": [estimates["outcome"], *procedure], "across": procedure}
    return {
        f"p_{method}_{scope}": adjusted(estimates["p_value"], *family, method=method)
        for scope, family in scopes.items()
        for method in METHODS
    }
