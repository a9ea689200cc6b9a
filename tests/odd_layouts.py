"""Odd layouts after further manuals, written before `init` was tried on any: held out from its rules.

Names and shapes follow what LimeSurvey, SurveyMonkey, Google Forms, oTree (wide and by app), formr, Gorilla,
jsPsych, KoboToolbox, Sawtooth (codes of levels and a file of labels), Qualtrics' loop & merge, REDCap,
SoSci Survey and Stata's reshape write. What is drawn: attributes, numbers of people and tasks. Nobody
answered anything.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from layouts import Layout

# Levels in the order that a reader would give them; the names of those without an order end in a star.
READ: dict[str, dict[str, list[str]]] = {
    "flat": {
        "rent": ["EUR 400 per month", "EUR 650 per month", "EUR 900 per month", "EUR 1,200 per month"],
        "floor": ["Ground floor", "1st floor", "2nd floor", "5th floor"],
        "energy_label": ["A+", "A", "B", "D", "G"],
        "walk": ["less than 5 minutes", "5-15 minutes", "more than 15 minutes"],
        "heating*": ["Heat pump", "Gas boiler", "District heating"],
    },
    "delivery": {
        "arrives": ["Same day", "Next day", "2-3 days", "One week"],
        "fee": ["free", "2.99", "4.99", "9.99"],
        "size": ["S", "M", "L", "XL"],
        "carrier*": ["Post", "Courier", "Locker"],
    },
    "climate policy": {
        "target_year": ["2030", "2040", "2050"],
        "change": ["-10%", "0%", "+10%", "+25%"],
        "scope": ["local", "regional", "national", "international"],
        "share": ["a quarter of households", "half of households", "all households"],
        "lead*": ["Government", "Companies", "Citizens' assembly"],
    },
    "job": {
        "education": [
            "Primary school",
            "Secondary school",
            "Bachelor's degree",
            "Master's degree",
            "Doctorate",
        ],
        "experience": ["none", "1-2 years", "3-5 years", "6+ years"],
        "days at home": ["no days", "one day", "two days", "four days"],
        "salary": ["$38k", "$52k", "$71k", "$120k"],
        "field*": ["Nursing", "Teaching", "Engineering"],
    },
    "treatment": {
        "risk": ["1 in 1000", "1 in 100", "1 in 10"],
        "relief": ["Not at all", "Slightly", "Moderately", "Very much", "Completely"],
        "intake": ["Monthly", "Weekly", "Daily"],
        "evidence": ["very weak", "weak", "strong", "very strong"],
        "form*": ["Tablet", "Injection", "Patch"],
    },
    "phone contract": {
        "data": ["500 MB", "2 GB", "10 GB", "unlimited"],
        "tariff": ["Basic", "Standard", "Premium"],
        "reviews": ["2 out of 5 stars", "3 out of 5 stars", "4.5 out of 5 stars"],
        "network*": ["Aral", "Bolt", "Cirrus"],
    },
    "Stromtarif": {
        "Preis": ["unter 25 ct", "25 bis 30 ct", "über 30 ct"],
        "Laufzeit": ["monatlich kündbar", "6 Monate", "1 Jahr", "2 Jahre"],
        "Anteil": ["kein Ökostrom", "50 % Ökostrom", "100 % Ökostrom"],
        "Service": ["sehr schlecht", "schlecht", "gut", "sehr gut"],
        "Anbieter*": ["Stadtwerke", "Genossenschaft", "Konzern"],
    },
    "kandydat": {
        "wiek": ["28 lat", "45 lat", "63 lata"],
        "zgoda": ["zdecydowanie nie", "raczej nie", "raczej tak", "zdecydowanie tak"],
        "partia*": ["Zieloni", "Centrum", "Prawica"],
    },
}
TOOLS = 14


def draw(seed: int) -> Layout:
    """Draw a layout: every tool in turn."""
    rng = np.random.default_rng([23, seed])
    tool = (
        _limesurvey,
        _surveymonkey,
        _google_forms,
        _otree_wide,
        _otree_app,
        _formr,
        _gorilla,
        _jspsych,
        _kobo,
        _sawtooth_codes,
        _loop_and_merge,
        _redcap,
        _reshaped,
        _sosci_trial,
    )[seed % TOOLS]
    study = list(READ.values())[int(rng.integers(len(READ)))]
    kept = sorted(rng.permutation(len(study))[: max(2, int(rng.integers(3, 6)))])
    attributes = {name: study[name] for name in (list(study)[i] for i in kept)}
    n, tasks = int(rng.integers(70, 140)), int(rng.integers(3, 8))
    shown = {name.rstrip("*"): rng.choice(levels, (n, tasks, 2)) for name, levels in attributes.items()}
    chosen = rng.integers(1, 3, (n, tasks))
    known = [not name.endswith("*") for name in attributes]
    told = Layout(None, "survey", "", tasks, list(attributes.values()), known, "", set())
    return tool(rng, shown, chosen, told)


def _each_task(shown, side):
    """Yield name and cells of every attribute of every task and profile; `side` names the column."""
    for name, cells in shown.items():
        for i in range(cells.shape[1]):
            for j in (0, 1):
                yield side(name, i + 1, j + 1), cells[:, i, j]


def _tokens(rng, n, length, letters="abcdefghjkmnpqrstuvwxyz0123456789"):
    return ["".join(rng.choice(list(letters), length)) for _ in range(n)]


def _limesurvey(rng, shown, chosen, layout):
    """Question codes with subquestions in brackets, equations that drew the levels, times of groups."""
    n, tasks = chosen.shape
    table = {
        "id": np.arange(n) + 17,
        "submitdate": [f"2025-02-1{i % 9} 12:{i % 60:02}:00" if i % 11 else "" for i in range(n)],
        "lastpage": np.where(np.arange(n) % 11, 9, 4),
        "startlanguage": ["en"] * n,
        "seed": rng.integers(10**8, 10**9, n),
        "G01Q01": rng.choice(["Female", "Male", "Other"], n),
        "G01Q02": rng.integers(18, 80, n),
    }
    table |= dict(_each_task(shown, lambda a, i, j: f"{a.replace(' ', '').replace('_', '')}T{i}P{j}"))
    table |= {f"T{i + 1}choice": np.array(["A1", "A2"])[chosen[:, i] - 1] for i in range(tasks)}
    table |= {
        "interviewtime": np.round(rng.random(n) * 900, 2),
        "groupTime12": np.round(rng.random(n) * 90, 2),
    }
    return layout.made(pd.DataFrame(table), "id")


def _surveymonkey(rng, shown, chosen, layout):
    """Two rows of header: the question, then its answers; custom variables behind the collector."""
    n, tasks = chosen.shape
    table = {
        "Respondent ID": 118000000000 + rng.permutation(n),
        "Collector ID": [431] * n,
        "Start Date": [f"03/0{1 + i % 9}/2025 09:{i % 60:02}:10" for i in range(n)],
        "End Date": [f"03/0{1 + i % 9}/2025 09:{i % 60:02}:59" for i in range(n)],
        "IP Address": [""] * n,
        "Email Address": [""] * n,
    }
    table |= dict(_each_task(shown, lambda a, i, j: f"round {i} plan {j} {a}"))
    for i in range(tasks):
        table[f"Round {i + 1}: which plan would you choose?"] = np.array(["Plan 1", "Plan 2"])[
            chosen[:, i] - 1
        ]
    table |= {"What is your age?": rng.choice(["18-29", "30-44", "45-60", "> 60"], n)}
    table = pd.DataFrame(table)
    return layout.made(table, "Respondent ID", head=[["Response" if "?" in c else "" for c in table]])


def _google_forms(rng, shown, chosen, layout):
    """Questions as names; a block of the form, whose petitions a second file lists, a row a task."""
    n, tasks = chosen.shape
    block = rng.integers(1, 7, n)
    first = {b: int(np.flatnonzero(block == b)[0]) for b in np.unique(block)}
    rows = [
        {"block": b, "question": i + 1, "option": "AB"[j]}
        | {a: cells[first[b], i, j] for a, cells in shown.items()}
        for b in first
        for i in range(tasks)
        for j in (0, 1)
    ]
    table = {
        "Timestamp": [f"1/{1 + i % 28}/2025 8:{i // 60:02}:{i % 60:02}" for i in range(n)],
        "Your participant code": _tokens(rng, n, 6),
        "block": block,
    }
    table |= {
        f"{i + 1}. Which do you prefer?": np.array(["Option A", "Option B"])[chosen[:, i] - 1]
        for i in range(tasks)
    }
    return layout.made(pd.DataFrame(table), "Your participant code", design=pd.DataFrame(rows))


def _otree_start(rng, n):
    return {
        "participant.id_in_session": np.arange(n) + 1,
        "participant.code": _tokens(rng, n, 8),
        "participant._is_bot": [0] * n,
        "participant._index_in_pages": [14] * n,
        "participant.time_started_utc": [f"2025-05-02 10:{i % 60:02}:11.05" for i in range(n)],
        "session.code": ["x1y2z3ab"] * n,
        "session.config.real_world_currency_per_point": ["1.0"] * n,
    }


def _otree_wide(rng, shown, chosen, layout):
    """All apps: a column an app, round and field."""
    n, tasks = chosen.shape
    table = _otree_start(rng, n)
    for i in range(tasks):
        table[f"conjoint.{i + 1}.player.id_in_group"] = [1] * n
        table[f"conjoint.{i + 1}.player.choice"] = np.array(["left", "right"])[chosen[:, i] - 1]
        for name, cells in shown.items():
            for j, side in enumerate(("left", "right")):
                table[f"conjoint.{i + 1}.player.{side}_{name.replace(' ', '_')}"] = cells[:, i, j]
        table[f"conjoint.{i + 1}.group.id_in_subsession"] = np.arange(n) + 1
        table[f"conjoint.{i + 1}.subsession.round_number"] = [i + 1] * n
    table["survey.1.player.age"] = rng.integers(18, 75, n)
    return layout.made(pd.DataFrame(table), "participant.code")


def _otree_app(rng, shown, chosen, layout):
    """One app: a row a person and round."""
    n, tasks = chosen.shape
    start = pd.DataFrame(_otree_start(rng, n))
    table = start.loc[np.repeat(np.arange(n), tasks)].reset_index(drop=True)
    table["player.id_in_group"] = 1
    for name, cells in shown.items():
        for j, side in enumerate(("left", "right")):
            table[f"player.{name}_{side}"] = cells[:, :, j].ravel()
    table["player.choice"] = np.array(["left", "right"])[chosen.ravel() - 1]
    table["subsession.round_number"] = np.tile(np.arange(tasks) + 1, n)
    return layout.made(table, "participant.code")


def _formr(rng, shown, chosen, layout):
    """Session, times of the survey, then items; levels shown are calculated items."""
    n, tasks = chosen.shape
    table = {
        "session": _tokens(rng, n, 32),
        "created": [f"2025-06-01 10:{i % 60:02}:00" for i in range(n)],
        "modified": [f"2025-06-01 10:{i % 60:02}:30" for i in range(n)],
        "ended": [f"2025-06-01 11:{i % 60:02}:00" for i in range(n)],
        "expired": [""] * n,
        "birthyear": rng.integers(1940, 2007, n),
    }
    table |= dict(_each_task(shown, lambda a, i, j: f"show_{a}_{'ab'[j - 1]}{i}"))
    table |= {f"pick_{i + 1}": np.array(["a", "b"])[chosen[:, i] - 1] for i in range(tasks)}
    return layout.made(pd.DataFrame(table), "session")


def _gorilla(rng, shown, chosen, layout):
    """A row a trial with fields of the spreadsheet, practice left out, reaction times."""
    n, tasks = chosen.shape
    ids = 9_100_000 + rng.permutation(n)
    table = {
        "UTC Date": [f"02/03/2025 10:{i % 60:02}" for i in range(n * tasks)],
        "Participant Private ID": np.repeat(ids, tasks),
        "Participant Status": ["complete"] * (n * tasks),
        "Task Name": ["Choices"] * (n * tasks),
        "Trial Number": np.tile(np.arange(tasks) + 1, n),
        "Reaction Time": np.round(rng.random(n * tasks) * 9000, 1),
        "Response": np.array(["Left", "Right"])[chosen.ravel() - 1],
    }
    for j, side in enumerate(("Left", "Right")):
        table |= {f"Spreadsheet: {side} {name}": cells[:, :, j].ravel() for name, cells in shown.items()}
    return layout.made(pd.DataFrame(table), "Participant Private ID")


def _jspsych(rng, shown, chosen, layout):
    """A row a trial; buttons are numbered from 0, levels stand in columns of each option."""
    n, tasks = chosen.shape
    table = {
        "rt": rng.integers(400, 9000, n * tasks),
        "response": chosen.ravel() - 1,
        "trial_type": ["html-button-response"] * (n * tasks),
        "trial_index": np.tile(3 + np.arange(tasks), n),
        "time_elapsed": np.tile(np.arange(tasks) * 5000, n) + rng.integers(0, 4000, n * tasks),
        "internal_node_id": np.tile([f"0.0-3.0-{i}.0" for i in range(tasks)], n),
        "subject": np.repeat(_tokens(rng, n, 10), tasks),
    }
    for j in (0, 1):
        table |= {f"opt{j}_{name}": cells[:, :, j].ravel() for name, cells in shown.items()}
    return layout.made(pd.DataFrame(table), "subject")


def _kobo(rng, shown, chosen, layout):
    """Groups before a slash, notes that drew the levels, `_uuid` and `_index` at the end."""
    n, tasks = chosen.shape
    table = {
        "start": [f"2025-04-11T09:{i % 60:02}:05.000+02:00" for i in range(n)],
        "end": [f"2025-04-11T10:{i % 60:02}:05.000+02:00" for i in range(n)],
        "consent": ["yes"] * n,
        "hh/age": rng.integers(18, 80, n),
    }
    for i in range(tasks):
        for j in (0, 1):
            table |= {f"task_{i + 1}/{name}_{'ab'[j]}": cells[:, i, j] for name, cells in shown.items()}
        table[f"task_{i + 1}/choice"] = np.array(["a", "b"])[chosen[:, i] - 1]
    table |= {
        "_id": 5000 + np.arange(n),
        "_uuid": _tokens(rng, n, 36, "0123456789abcdef-"),
        "_index": np.arange(n) + 1,
    }
    return layout.made(pd.DataFrame(table), "_id|_uuid|_index")  # any of them


def _sawtooth_codes(rng, shown, chosen, layout):
    """Answers; a design of codes (Version, Task, Concept, Att 1, ...); labels of attributes and levels."""
    n, tasks = chosen.shape
    version = rng.integers(1, 11, n)
    first = {v: int(np.flatnonzero(version == v)[0]) for v in np.unique(version)}
    codes = {
        name: pd.Categorical(cells.ravel(), levels).codes.reshape(cells.shape) + 1
        for (name, cells), levels in zip(shown.items(), layout.attributes, strict=True)
    }
    rows = [
        {"Version": v, "Task": i + 1, "Concept": j + 1}
        | {f"Att {k} - {name}": cells[first[v], i, j] for k, (name, cells) in enumerate(codes.items(), 1)}
        for v in first
        for i in range(tasks)
        for j in (0, 1)
    ]
    labels = [
        {"Attribute": name, "Level": code, "Label": level}
        for name, levels in zip(shown, layout.attributes, strict=True)
        for code, level in enumerate(levels, 1)
    ]
    table = {"sys_RespNum": np.arange(n) + 1, "sys_CBCVersion_Choice": version}
    table |= {f"Choice_Random{i + 1}": chosen[:, i] for i in range(tasks)}
    told = layout.made(
        pd.DataFrame(table), "sys_RespNum", design=pd.DataFrame(rows), book=pd.DataFrame(labels)
    )
    told.ordered[:] = [True] * len(told.ordered)  # the labels tell the order of all of them
    return told


def _loop_and_merge(rng, shown, chosen, layout):
    """Qualtrics' loop & merge: the number of the loop stands before the question; embedded data after."""
    n, tasks = chosen.shape
    table = {
        "StartDate": [f"2025-03-0{1 + i % 9} 10:{i % 60:02}:00" for i in range(n)],
        "Progress": ["100"] * n,
        "Finished": ["True"] * n,
        "ResponseId": ["R_" + token for token in _tokens(rng, n, 15)],
    }
    for i in range(tasks):
        table[f"{i + 1}_Q12"] = np.array(["Proposal A", "Proposal B"])[chosen[:, i] - 1]
        table[f"{i + 1}_Q13_Page Submit"] = np.round(rng.random(n) * 20, 2)
    for name, cells in shown.items():
        for i in range(tasks):
            for j, letter in enumerate("AB"):
                table[f"{i + 1}_{letter}_{name}"] = cells[:, i, j]
    table = pd.DataFrame(table)
    return layout.made(
        table, "ResponseId", head=[list(table), [f'{{"ImportId":"{name}"}}' for name in table]]
    )


def _redcap(rng, shown, chosen, layout):
    """A row a record and event, the event's name numbers tasks; a row of the record itself is left out."""
    n, tasks = chosen.shape
    table = {
        "record_id": np.repeat(np.arange(n) + 1, tasks),
        "redcap_event_name": np.tile([f"task_{i + 1}_arm_1" for i in range(tasks)], n),
        "redcap_data_access_group": ["site_a"] * (n * tasks),
    }
    for j in (1, 2):
        table |= {
            f"{name.replace(' ', '_')}_{j}": cells[:, :, j - 1].ravel() for name, cells in shown.items()
        }
    table |= {"which": chosen.ravel(), "task_complete": [2] * (n * tasks)}
    return layout.made(pd.DataFrame(table), "record_id")


def _reshaped(rng, shown, chosen, layout):
    """Stata's `reshape wide` twice: task and profile are two digits at the end, the choice one."""
    n, tasks = chosen.shape
    table = {"pid": 1 + rng.permutation(n), "female": rng.integers(0, 2, n)}
    table |= dict(_each_task(shown, lambda a, i, j: f"{a.replace(' ', '').replace('_', '')}{i}{j}"))
    table |= {f"chosen{i + 1}": chosen[:, i] for i in range(tasks)}
    return layout.made(pd.DataFrame(table), "pid")


def _sosci_trial(rng, shown, chosen, layout):
    """A trial in SoSci Survey: CASE, SERIAL, an urn drawn by number, answers in codes, times of pages."""
    n = 6 * len(chosen)
    table = {
        "CASE": 200 + np.arange(n),
        "SERIAL": [""] * n,
        "QUESTNNR": ["base"] * n,
        "MODE": ["interview"] * n,
        "STARTED": [f"2025-01-1{i % 9} 10:{i % 60:02}:00" for i in range(n)],
        "UR01": rng.integers(1, 4, n),
        "UR01_CP": rng.integers(0, 200, n),
        "SD01": rng.integers(1, 3, n),
        "SD02_01": rng.integers(18, 80, n),
        "AB01_01": rng.integers(1, 8, n),
        "TIME001": rng.integers(3, 60, n),
        "FINISHED": [1] * n,
    }
    return Layout(pd.DataFrame(table), "trial", "CASE", 0, [], [], "UR01", {"1", "2", "3"})
