"""The notice that political advertising owes people in the European Union, filled from the study.

The items follow Article 12(1) of Regulation (EU) 2024/900, and Article 19(1), to which its point (l) refers;
Implementing Regulation (EU) 2025/1410 has the template. What only the sponsor knows is a blank and marked so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.report import theme
from nanotarget.report.markdown import filled
from nanotarget.report.page import still_page
from nanotarget.study.config import CovariateConfig, NoticeConfig, Study

BLANK = "To be filled in by the sponsor"
BLANKS = "_To be filled in by the authors._"
LEGAL = (
    "Regulation (EU) 2024/900 of 13 March 2024, Articles 12(1), 18 and 19; "
    "Commission Implementing Regulation (EU) 2025/1410 of 9 July 2025"
)
# What a learner is, for people who have never seen one.
PLAIN = {
    "ridge": "a regression that predicts an answer from what a petition says and how that goes with traits",
    "hierarchical": "a regression in which everybody has tastes of their own, near those of similar people",
    "stagewise": "a regression that picks few traits, and limits of them, that go with different answers",
    "bart": "an average of many small decision trees",
    "boosting": "a sum of many small decision trees",
}


@dataclass(frozen=True)
class Item:
    """One item: where it is asked for, its heading, and what is said; nothing said is a blank."""

    point: str
    title: str
    text: str

    @property
    def blank(self) -> bool:
        """Whether the sponsor has to fill it in."""
        return not self.text.strip()


@dataclass(frozen=True)
class Counts:
    """What was counted: people learned from, people petitions are for, distinct and possible petitions."""

    learned_from: int
    people: int
    versions: int
    possible: int


def notice(study: Study, learner: str, counts: Counts) -> list[Item]:
    """Return the items of the notice in their order."""
    return [*_of_sponsor(study.notice), *_of_targeting(study, learner, counts)]


def _of_sponsor(given: NoticeConfig) -> Iterator[Item]:
    asked = {
        "a": {"Sponsor": given.sponsor, "Entity that ultimately controls the sponsor": given.controller},
        "b": {"Who pays, if not the sponsor": given.payer},
        "c": {"Period": given.period},
        "d": {"Amounts and value of other benefits": given.amounts},
        "e": {"Origin of the amounts": given.origin},
        "f": {"How the amounts were calculated": given.method},
        "g": {"Elections, referendums, legislative or regulatory processes": given.process},
        "h": {"Official information on taking part": given.information},
        "i": {"European repository of online political advertisements": given.repository},
        "j": {"How to report an advertisement that breaks the rules": given.complaints},
        "k": {"Suspension of an earlier version": given.suspended},
        "m": {"Reach": given.reach},
    }
    for letter, items in asked.items():
        yield from (Item(f"Article 12(1)({letter})", title, text) for title, text in items.items())


def _of_targeting(study: Study, learner: str, counts: Counts) -> Iterator[Item]:
    here, used = "Article 12(1)(l), 19(1)(c)", [c for c in study.covariates if c.target]
    yield Item(here, "Targeting", "Which petition a person sees is chosen by a program from personal data.")
    yield Item(f"{here}(i)", "Audience and parameters", _audience(study, used, counts))
    yield Item(f"{here}(ii)", "Categories of personal data", _categories(study, used))
    yield Item(f"{here}(iii)", "Goal, mechanism and logic", _logic(study, learner, counts))
    yield Item(f"{here}(iii)", "Who is left out", _left_out(study))
    yield Item(f"{here}(iv)", "Use of artificial intelligence", _machine(study, learner))
    yield Item(f"{here}(v)", "Number of people and of versions", _numbers(counts))
    yield Item(f"{here}(vi)", "Policy on targeting", study.notice.policy)
    yield Item("Article 12(1)(l), 19(1)(e)", "Rights, and how to withdraw consent", study.notice.rights)


def _audience(study: Study, used: Sequence[CovariateConfig], counts: Counts) -> str:
    who = "participants of the experiment" if study.experiment else "people on the list of those addressed"
    if not (study.experiment or study.roster):
        who = "respondents of the survey; nobody else has been addressed"
    return (
        f"{theme.count(counts.people)} {who}. Parameters: {', '.join(_named(used)) or 'none'}. People are "
        "not selected by them: they decide which version is shown."
    )


def _named(covariates: Sequence[CovariateConfig]) -> list[str]:
    return [
        (covariate.label or covariate.name)
        + (f" ({'; '.join(map(str, covariate.levels))})" if covariate.levels else "")
        for covariate in covariates
    ]


def _categories(study: Study, used: Sequence[CovariateConfig]) -> str:
    parts = [f"Answers to the survey: {', '.join(c.label or c.name for c in used) or 'none'}."]
    if study.calibrate.own_answers:
        parts.append("What the person answered about petitions in the survey before.")
    special = [c.label or c.name for c in used if c.name in study.notice.special_categories]
    parts.append(
        f"Special categories of personal data (Article 9 GDPR): {', '.join(special)}. Article 18(1)(c) of "
        "Regulation (EU) 2024/900 forbids profiling with them in online political advertising."
        if special
        else "The sponsor has named none of them as a special category of personal data (Article 9 GDPR)."
    )
    return " ".join(parts)


def _logic(study: Study, learner: str, counts: Counts) -> str:
    outcome = study.calibration.analyse if study.calibration else ""
    return (
        f"Goal: the highest {outcome} that can be expected of each person. In a survey "
        f"{theme.count(counts.learned_from)} people judged petitions whose parts were drawn at random. From "
        f"their answers a program learned {PLAIN.get(learner, learner)}. "
        f"For a person it computes what she would answer to each of {theme.count(counts.possible)} possible "
        "petitions and takes the best. Petitions that would lower support are never shown."
    )


def _left_out(study: Study) -> str:
    sample = study.experiment or study.roster or study.calibration
    if sample is None or sample.consent is None:
        return "Nobody; no question about consent is part of the data."
    return (
        "Who did not agree that their answers may be used to personalise sees the petition that is best "
        "overall, and the program does not learn from their answers. Nobody is left out because of a trait."
    )


def _machine(study: Study, learner: str) -> str:
    return (
        f"A statistical model that was learned from data ({learner}) chooses among texts that people wrote; "
        "it writes none. The sponsor says whether it is an AI system (Article 3(1) of Regulation (EU) "
        "2024/1689)."
    )


def _numbers(counts: Counts) -> str:
    return (
        f"{theme.count(counts.people)} people, {theme.count(counts.versions)} versions of the petition among "
        f"{theme.count(counts.possible)} possible ones."
    )


def as_json(items: Sequence[Item], study: Study) -> dict[str, Any]:
    """Return the notice for machines."""
    return {
        "study": study.study,
        "title": study.title,
        "simulated": study.synthetic,
        "after": LEGAL,
        "items": [asdict(item) | {"blank": item.blank} for item in items],
        "blanks": sum(item.blank for item in items),
    }


def counted(study: Study, learners: pd.DataFrame, petitions: pd.DataFrame) -> tuple[str, Counts]:
    """Return the learner that was chosen and what was counted.

    Args:
        study: the config.
        learners: table of the stage `calibrate`.
        petitions: all that are assigned, with how many people each policy gives them to.
    """
    if study.calibration is None or study.design is None:
        raise ValueError("only a study with a calibration and a design has a learner")
    chosen = learners[learners["chosen"] & (learners["outcome"] == study.calibration.analyse)].iloc[0]
    policy = next(p for p in ("nano", "segment", "overall_best") if f"n_{p}" in petitions)
    given = petitions[f"n_{policy}"]
    possible = Design.from_config(study.design).n_feasible
    return str(chosen["learner"]), Counts(
        int(chosen["n"]), int(given.sum()), int((given > 0).sum()), possible
    )


def sheets(templates: Mapping[str, str], study: Study, told: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the sheets by name.

    Args:
        templates: sources by file name: those whose names end in .md.j2 are sheets.
        study: the config.
        told: what the templates say beside it: flow, and of a study that learns learner, counts, losses,
            verdict, digest.
    """
    samples = [s for s in (study.calibration, study.experiment, study.roster) if s]
    consents = [s.consent for s in samples if s.consent]
    facts = {
        "study": study,
        "deposit": study.deposit,
        "blank": BLANKS,
        "used": [c.label or c.name for c in study.covariates if c.target],
        "identifiers": list(dict.fromkeys(name for s in samples for name in s.identifiers)),
        "consent": "" if not consents else f"yes means {', '.join(map(str, consents[0].values))}; else no",
        "contact": study.deposit.contact,
        **told,
    }
    ending = ".md.j2"
    return {
        name.removesuffix(ending): filled(template, facts)
        for name, template in templates.items()
        if name.endswith(ending)
    }


def render_notice(templates: Mapping[str, str], study: Study, items: Sequence[Item]) -> str:
    """Fill the page of the notice."""
    return still_page(
        templates,
        "notice.html.j2",
        study=study,
        items=items,
        blanks=sum(item.blank for item in items),
        blank=BLANK,
        legal=LEGAL,
    )


def ends(flow: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return sample, people in the raw file and people analysed, from the published flow."""
    everybody = flow[flow["arm"] == "all"]
    return [
        (str(sample), theme.people(rows["n_before"].iloc[0]), theme.people(rows["n_after"].iloc[-1]))
        for sample, rows in everybody.groupby("sample", sort=False)
    ]
