"""What the columns of tidy tables call things, in the words of the config's labels.

Artefacts hold the names of the config, which programs know; figures, tables and pages are read by people.
Tables are relabelled once, when they are read for people, so that no drawing function knows of labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nanotarget.study.config import ArmConfig, CovariateConfig, SubgroupConfig

if TYPE_CHECKING:
    import pandas as pd

ARM_COLUMNS = ("arm", "trimmed_arm")
SEPARATOR = " - "  # between the arms of a contrast


@dataclass(frozen=True)
class Labels:
    """Names of the config -> labels.

    Attributes:
        arms, covariates, groupings: without a label of their own, names as people would write them.
    """

    arms: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, str] = field(default_factory=dict)
    groupings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Labels:
        """Collect the labels from what a rule passes on of the config: arms, covariates, subgroups."""
        covariates = CovariateConfig.validate_list(settings["covariates"])
        groupings = SubgroupConfig.validate_list(settings["subgroups"])
        arms = ArmConfig.validate_list(settings["arms"])
        return cls(
            # A contrast is "a - b": what is read again must be told from a label with a hyphen of its own.
            {arm.name: (arm.label or arm.name).replace(SEPARATOR, " – ") for arm in arms},
            {covariate.name: covariate.label or spelled(covariate.name) for covariate in covariates},
            {grouping.name: grouping.label or spelled(grouping.name) for grouping in groupings},
        )

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a tidy table with labels in the place of names."""
        changed = {
            name: table[name].map(write, na_action="ignore")
            for name, write in self._columns().items()
            if name in table
        }
        if "sentence" in table:
            changed["sentence"] = [
                self._sentence(text, contrast)
                for text, contrast in zip(table["sentence"], table["contrast"], strict=True)
            ]
        return table.assign(**changed)

    def group(self, text: str) -> str:
        """Write "grouping: group"."""
        name, colon, group = text.partition(": ")
        return self.groupings.get(name, name) + colon + group if colon else text

    def term(self, text: str) -> str:
        """Write "covariate: level", or a covariate."""
        name, colon, level = text.partition(": ")
        return self.covariates.get(name, name) + colon + level

    def contrast(self, text: str) -> str:
        """Write "a - b"."""
        return SEPARATOR.join(self.arms.get(part, part) for part in text.split(SEPARATOR))

    def _columns(self) -> dict[str, Callable[[Any], Any]]:
        """Return what writes the cells of a column."""
        return {
            **dict.fromkeys(ARM_COLUMNS, lambda name: self.arms.get(name, name)),
            "contrast": self.contrast,
            "covariate": lambda name: self.covariates.get(name, name),
            "grouping": lambda name: self.groupings.get(name, name),
            "group": self.group,
            "term": self.term,
            "reason": without_rule,
            "rule": lambda _: "applied",  # it is made of columns and values of the raw file
            "note": self._quoted,
        }

    def _quoted(self, text: str) -> str:
        """Write the arms that a note names in quotation marks."""
        return re.sub(r"'([^']*)'", lambda found: f"'{self.arms.get(found[1], found[1])}'", text)

    def _sentence(self, text: str, contrast: str) -> str:
        """Write the arms of a contrast in the sentence about it."""
        later, _, earlier = contrast.partition(SEPARATOR)
        named = f" of {self.arms.get(later, later)} over {self.arms.get(earlier, earlier)} "
        return text.replace(f" of {later} over {earlier} ", named)


def spelled(name: str) -> str:
    """Write a name as people would."""
    return name[:1].upper() + name[1:].replace("_", " ")


def without_rule(text: str) -> str:
    """Write the step of an exclusion without the columns and values of the raw file behind it."""
    return re.sub(r" \(.*\)$", "", text)
