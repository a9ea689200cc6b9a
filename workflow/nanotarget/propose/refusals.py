"""What is said of a file that is neither a conjoint survey nor an experiment: how far the search came."""

from __future__ import annotations

from nanotarget.propose.columns import Column, RawFile
from nanotarget.propose.conjoint import repeated_respondent
from nanotarget.propose.families import CHOICE_WORDS, MAX_PROFILES, find_attributes
from nanotarget.propose.people import TRAIT_WORDS, by_platform, respondent_column
from nanotarget.propose.trial import arm_column
from nanotarget.study.problems import Problem, listed

EXPECTED = (
    "a conjoint survey: one row per profile, or columns such as task1_profile2_cost; or an experiment: "
    "one row per respondent, with a column such as 'arm' or 'treatment'"
)
BY_HAND = "write the config by hand after examples/"


def nobody(file: RawFile) -> Problem:
    """Describe a file in which no column has a different value in every row."""
    arm, respondent = arm_column(file, ""), repeated_respondent(file)
    if arm:
        what = f"this looks like an experiment with arms in '{arm.column}', but no column tells people apart"
        expected = "a column with a different id in every row"
        return Problem(file.path, "whole file", what, expected, "add one, for example the number of the row")
    if respondent:
        return _no_conjoint(file, respondent.column)
    return Problem(
        file.path,
        "whole file",
        "no column tells respondents apart",
        "a column with a different id in every row; in a long conjoint survey, one id per person",
        "add the ids of the people; only where every row is another person may that be the number of the row",
    )


def unknown(file: RawFile) -> Problem:
    """Describe a file with respondents, but neither with tasks nor with arms."""
    wide = find_attributes(file)
    if wide is None:
        return Problem(
            file.path,
            "whole file",
            "this looks neither like a conjoint survey nor like an experiment "
            f"(its columns: {listed(file.columns, 12)}){_one_each(file)}",
            EXPECTED,
            f"rename the columns of the tasks or of the arm so, or {BY_HAND}",
        )
    tasks, profiles = wide.size
    near = _nearest(file, [c for c in file.columns.values() if c.name not in wide.columns])
    respondent = respondent_column(file)
    name = respondent.column if respondent else ""
    what = (
        f"this looks like a wide conjoint survey with respondents in '{name}', "
        f"{tasks} tasks, {profiles} profiles and the attributes {listed(wide.families)}, but no column of a "
        f"choice and no rating was found{near}"
    )
    expected = f"one column for each of the {tasks} tasks whose cells name one of {profiles} profiles"
    return Problem(file.path, "whole file", what, expected, f"add the choices to the file, or {BY_HAND}")


def _one_each(file: RawFile) -> str:
    """Say what the file looks like if each row has one level of several attributes."""
    levels = [
        column.name
        for column in file.columns.values()
        if column.numbers is None and not column.named(TRAIT_WORDS) and not by_platform(column)
        and 2 <= len(column.answers) <= MAX_PROFILES
    ]  # fmt: skip
    if len(levels) < 2:
        return ""
    return (
        f"; if {listed(levels)} are attributes of the one petition that each person saw, it is a factorial "
        "experiment; how people differ cannot be learned from it: that takes several petitions each. What "
        "levels do on average can be: write a config with 'tasks: 1' and 'profiles: 1'"
    )


def _no_conjoint(file: RawFile, respondent: str) -> Problem:
    """Describe a long file whose respondents were found and whose answers were not."""
    columns = [column for column in file.columns.values() if column.name != respondent]
    what = (
        f"this looks like a long conjoint survey with respondents in '{respondent}', but no column says "
        f"which profile of a task was chosen and none rates each profile{_nearest(file, columns)}"
    )
    expected = (
        "a column that is yes (1, Selected) for exactly one profile of every task, or a number given to "
        "each profile; and two or more attributes"
    )
    return Problem(
        file.path, "whole file", what, expected, f"name or add the column of the answers, or {BY_HAND}"
    )


def _nearest(file: RawFile, columns: list[Column]) -> str:
    """Name the column that comes nearest to a choice."""
    named = [column for column in columns if column.named(CHOICE_WORDS)] or [c for c in columns if c.binary]
    if not named:
        return ""
    answers = listed(list(named[0].answers), 4)
    return f"; nearest comes '{named[0].name}' with the answers {answers}"
