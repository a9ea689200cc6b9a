"""Layouts after the manuals of survey tools, with levels as published: held out from the rules of `init`.

Names and shapes of columns follow the manuals of Qualtrics, the Conjoint Survey Design Tool, projoint,
Sawtooth (CBC), Conjointly, cbcTools and mlogit; levels follow published designs and surveys. What is drawn:
tool, attributes, numbers of people and tasks, order of rows. Nobody answered anything.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from layouts import Layout

# Levels in the order in which they were published; the names of those without an order end in a star.
PUBLISHED: dict[str, dict[str, list[str]]] = {
    "taxes (Ballard-Rosa, Martin & Scheve 2017)": {
        "taxrate1": ["<10k: 0%", "<10k: 5%", "<10k: 15%", "<10k: 25%"],
        "taxrate2": ["10-35k: 5%", "10-35k: 15%", "10-35k: 25%", "10-35k: 35%"],
        "taxrate6": [">375k: 5%", ">375k: 15%", ">375k: 25%", ">375k: 35%", ">375k: 45%"],
        "taxrev": ["Rev: <75%", "Rev: 75-95%", "Rev: 95-105%", "Rev: 105-125%", "Rev: >125%"],
    },
    "places to live (Mummolo & Nall 2017; projoint)": {
        "Housing Cost": ["15% of pre-tax income", "30% of pre-tax income", "40% of pre-tax income"],
        "Presidential Vote (2012)": [
            "30% Democrat, 70% Republican",
            "50% Democrat, 50% Republican",
            "70% Democrat, 30% Republican",
        ],
        "Racial Composition": [
            "50% White, 50% Nonwhite",
            "75% White, 25% Nonwhite",
            "90% White, 10% Nonwhite",
            "96% White, 4% Nonwhite",
        ],
        "Total Daily Driving Time": ["10 min", "25 min", "45 min", "75 min"],
        "Violent Crime Rate": ["20% Less Than National Average", "20% More Than National Average"],
        "Type of Place*": ["City, downtown", "Suburban, houses only", "Rural area", "Small town"],
    },
    "asylum seekers (Bansak, Hainmueller & Hangartner 2016)": {
        "Age": ["21 years", "38 years", "62 years"],
        "Testimony": ["No inconsistencies", "Minor inconsistencies", "Major inconsistencies"],
        "Origin*": ["Syria", "Ukraine", "Eritrea"],
        "Gender*": ["Female", "Male"],
    },
    "vaccines (Kreps et al. 2020)": {
        "Efficacy": ["50%", "70%", "90%"],
        "Protection": ["1 year", "5 years"],
        "Major adverse effects": ["1 in 10,000", "1 in 1,000,000"],
        "Minor adverse effects": ["1 in 10", "1 in 30"],
        "Endorsed by*": ["CDC", "WHO", "President"],
    },
    "vacations (manual of Qualtrics)": {
        "Destination*": ["Aruba", "Jamaica", "Bermuda"],
        "Price": ["$1000", "$2000", "$5000"],
        "Duration": ["3 days", "1 week", "2 weeks"],
    },
    "apples (cbcTools)": {
        "price": ["1", "1.5", "2", "2.5", "3"],
        "type*": ["Fuji", "Gala", "Honeycrisp"],
        "freshness": ["Poor", "Average", "Excellent"],
    },
    "homes (Morris et al.)": {
        "Amount of Natural Light": ["Very Little", "A Little", "Moderate", "A Lot"],
        "Reputation of Closest School": ["Very Bad", "Bad", "Moderate", "Good", "Very Good"],
        "Size of Garage": ["None", "Small", "Medium", "Large", "Very Large"],
        "Age of Building": ["New", "Medium", "Old"],
        "Size of Home": ["605 square feet", "1124 square feet", "1273 square feet", "1886 square feet"],
        "Noise Pollution": ["Low", "Moderate", "High", "Very High"],
    },
    "health care (usual discrete choice experiments)": {
        "Pain": ["No pain", "Mild pain", "Moderate pain", "Severe pain"],
        "Doses": ["Once a day", "Twice a day", "Three times a day"],
        "Visits": ["Once a month", "Once a week", "Once a day"],
        "Distance": ["500 m", "1 km", "5 km"],
        "Waiting": ["30 minutes", "1 hour", "2 hours"],
        "Premium": ["10% lower", "The same", "10% higher"],
        "Lockdown": ["2 weeks", "1 month", "3 months", "6 months", "1 year"],
    },
    "answers (CES, ESS)": {
        "Position": ["Strongly oppose", "Somewhat oppose", "Somewhat support", "Strongly support"],
        "Ideology": ["Very liberal", "Liberal", "Moderate", "Conservative", "Very Conservative"],
        "Interest": ["Not at all interested", "Hardly interested", "Quite interested", "Very interested"],
        "Income": ["Less than $25,000", "$25,000 - $49,999", "$50,000 - $99,999", "$100,000 or more"],
    },
    "Vignetten (GLES, SOEP)": {
        "Erfahrung": ["keine Erfahrung", "wenig Erfahrung", "viel Erfahrung"],
        "Einkommen": ["500 €", "1.000 €", "2.500 €", "10.000 €"],
        "Zustimmung": [
            "trifft überhaupt nicht zu",
            "trifft eher nicht zu",
            "trifft eher zu",
            "trifft voll und ganz zu",
        ],
        "Kontakt": ["einmal im Monat", "einmal pro Woche", "täglich"],
        "Partei*": ["SPD", "CDU", "Grüne"],
    },
    "Latinobarómetro": {
        "Economía": ["Muy malo", "Malo", "Regular", "Bueno", "Muy bueno"],
        "Confianza": ["Nada de confianza", "Poca confianza", "Algo de confianza", "Mucha confianza"],
        "Sector*": ["Salud", "Educación", "Seguridad"],
    },
    "baromètre": {
        "Satisfaction": [
            "Pas du tout satisfait",
            "Plutôt pas satisfait",
            "Plutôt satisfait",
            "Très satisfait",
        ],
        "Prix": ["900 €", "1 000 €", "5 000 €", "10 000 €"],
        "Lieu*": ["Ville", "Campagne"],
    },
    "Itanes": {
        "Frequenza": ["mai", "raramente", "qualche volta", "spesso", "sempre"],
        "Fiducia": ["per niente", "poco", "abbastanza", "molto"],
        "Settore*": ["Energia", "Trasporti"],
    },
    "inquérito": {
        "Acordo": [
            "discordo totalmente",
            "discordo",
            "não concordo nem discordo",
            "concordo",
            "concordo totalmente",
        ],
        "Frequência": ["nunca", "raramente", "às vezes", "frequentemente", "sempre"],
        "Setor*": ["Energia", "Transportes"],
    },
    "enquête": {
        "Mening": ["zeer oneens", "oneens", "neutraal", "eens", "zeer eens"],
        "Hoe vaak": ["nooit", "zelden", "soms", "vaak", "altijd"],
        "Sector*": ["Energie", "Vervoer"],
    },
    "enkät": {
        "Hur ofta": ["aldrig", "sällan", "ibland", "ofta", "alltid"],
        "Kostnad": ["100 kr", "500 kr", "1 000 kr"],
        "Sektor*": ["Energi", "Transport"],
    },
}
TOOLS = 8
AFTER = {  # what projoint and the manuals ask beside the tasks
    "honesty": ["Never", "Never", "Never", "Sometimes"],
    "race": ["White", "Black", "Asian", "Other"],
    "ideology": ["Extremely liberal", "Moderate", "Extremely conservative"],
}


def draw(seed: int) -> Layout:
    """Draw a layout: every tool in turn."""
    rng = np.random.default_rng([18, seed])
    make = (_design_tool, _projoint, _sawtooth, _conjointly, _cbctools, _mlogit, _labelled, _qualtrics)
    tool = make[seed % TOOLS]
    study = list(PUBLISHED.values())[int(rng.integers(len(PUBLISHED)))]
    kept = sorted(rng.permutation(len(study))[: max(2, int(rng.integers(3, 6)))])
    attributes = {name: study[name] for name in (list(study)[i] for i in kept)}
    n, tasks = int(rng.integers(80, 160)), int(rng.integers(3, 8))
    shown = {name.rstrip("*"): rng.choice(levels, (n, tasks, 2)) for name, levels in attributes.items()}
    chosen = rng.integers(1, 3, (n, tasks))
    levels = list(attributes.values())
    known = [not name.endswith("*") for name in attributes]
    return tool(rng, shown, chosen, Layout(None, "survey", "", tasks, levels, known, "", set()))


def _stacked(shown, chosen):
    """Number the rows of a long file: people, tasks, profiles from 0, and who was chosen."""
    n, tasks = chosen.shape
    person, task = np.repeat(np.arange(n), 2 * tasks), np.tile(np.repeat(np.arange(tasks), 2), n)
    profile = np.tile([0, 1], n * tasks)
    return person, task, profile, (chosen.ravel().repeat(2) == profile + 1).astype(int)


def _codes(rng, n):
    """Draw ids as Qualtrics writes them."""
    letters = list("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz0123456789")
    return ["R_" + "".join(rng.choice(letters, 15)) for _ in range(n)]


def _platform(rng, n):
    """Draw what stands first in an export of Qualtrics."""
    return {
        "StartDate": [f"2024-03-0{1 + i % 9} 10:{i % 60:02}:00" for i in range(n)],
        "Status": ["Survey Preview" if i < 3 else "IP Address" for i in range(n)],
        "Progress": rng.choice(["100", "100", "100", "64"], n),
        "Duration (in seconds)": rng.integers(200, 2000, n),
        "Finished": rng.choice(["True", "True", "True", "False"], n),
        "ResponseId": _codes(rng, n),
        "Q_RecaptchaScore": np.round(rng.random(n), 1),
        "Q1": ["I agree"] * n,
    }


def _three_rows(table):
    """Return the second and third row of the header of Qualtrics: texts of questions, and import ids."""
    texts = {"Q1": "Do you agree to take part?"}
    return [
        [texts.get(name, name) for name in table],
        [f'{{"ImportId":"{name}"}}' for name in table],
    ]


def _design_tool(rng, shown, chosen, layout):
    """The Conjoint Survey Design Tool in a raw export of Qualtrics (cjoint's read.qualtrics)."""
    n, tasks = chosen.shape
    table = _platform(rng, n) | {f"Q{5 + i}.2": chosen[:, i] for i in range(tasks)}
    return _positions(rng, shown, table, layout, "F")


def _positions(rng, shown, table, layout, start):
    names = np.array(list(shown))
    n = len(table["ResponseId"])
    order = np.array([rng.permutation(len(names)) for _ in range(n)])
    for i in range(layout.tasks):
        for row in range(len(names)):
            table[f"{start}-{i + 1}-{row + 1}"] = names[order[:, row]]
            for j in (0, 1):
                cells = np.stack([shown[name][:, i, j] for name in names], axis=1)
                table[f"{start}-{i + 1}-{j + 1}-{row + 1}"] = cells[np.arange(n), order[:, row]]
    table = pd.DataFrame(table)
    return layout.made(table, "ResponseId", head=_three_rows(table))


def _projoint(rng, shown, chosen, layout):
    """What projoint reads: K-t-k and K-t-p-k, named communities, the first task again, questions after it."""
    n, tasks = chosen.shape
    table = _platform(rng, n)
    answers = np.array(["Community A", "Community B"])[chosen - 1]
    table |= {f"choice{i + 1}": answers[:, i] for i in range(tasks)}
    again = rng.random(n) < 0.8
    table["choice1_repeated_flipped"] = np.where(again, 3 - chosen[:, 0], chosen[:, 0])
    table["choice1_repeated_flipped"] = np.array(["Community A", "Community B"])[
        table["choice1_repeated_flipped"] - 1
    ]
    table |= {name: rng.choice(values, n) for name, values in AFTER.items()}
    return _positions(rng, shown, table, layout, "K")


def _sawtooth(rng, shown, chosen, layout):
    """Answers in one file; versions of the design in a second one (Version, Task, Concept, attributes)."""
    n, tasks = chosen.shape
    version = rng.integers(1, 13, n)
    first = {v: int(np.flatnonzero(version == v)[0]) for v in np.unique(version)}
    rows = [
        {"Version": v, "Task": t + 1, "Concept": p + 1}
        | {name: cells[first[v], t, p] for name, cells in shown.items()}
        for v in first
        for t in range(tasks)
        for p in (0, 1)
    ]
    table = {"sys_RespNum": np.arange(n) + 1, "sys_CBCVersion_CBC": version}
    table |= {"age": rng.integers(18, 80, n)}
    table |= {f"CBC_Random{i + 1}": chosen[:, i] for i in range(tasks)}
    return layout.made(pd.DataFrame(table), "sys_RespNum", design=pd.DataFrame(rows))


def _conjointly(rng, shown, chosen, layout):
    """The file that Conjointly asks for: PARTICIPANT, QES, ALT, CHOICE, then the attributes."""
    person, task, profile, yes = _stacked(shown, chosen)
    ids = np.array(_codes(rng, len(chosen)))
    table = {"PARTICIPANT": ids[person], "QES": task + 1, "ALT": profile + 1, "CHOICE": yes}
    table |= {name: cells.ravel() for name, cells in shown.items()}
    shuffled = pd.DataFrame(table).sample(frac=1, random_state=int(rng.integers(99)))
    return layout.made(shuffled, "PARTICIPANT")


def _cbctools(rng, shown, chosen, layout):
    """A design of cbcTools with choices: profileID, respID, qID, altID, obsID."""
    person, task, profile, yes = _stacked(shown, chosen)
    cells = {name: values.ravel() for name, values in shown.items()}
    table = {"profileID": pd.factorize(pd.Series(zip(*cells.values(), strict=True)))[0] + 1}
    table |= {"respID": person + 1, "qID": task + 1, "altID": profile + 1}
    table |= {"obsID": person * layout.tasks + task + 1, **cells, "choice": yes}
    return layout.made(pd.DataFrame(table), "respID")


def _mlogit(rng, shown, chosen, layout):
    """A row a task, as in mlogit's Train: id, choiceid, choice, price_A, ..., price_B, ..."""
    n, tasks = chosen.shape
    table = {"id": np.repeat(np.arange(n) + 1, tasks), "choiceid": np.tile(np.arange(tasks) + 1, n)}
    table |= {"choice": np.array(["A", "B"])[chosen.ravel() - 1]}
    for j, letter in enumerate("AB"):
        table |= {f"{name}_{letter}": cells[:, :, j].ravel() for name, cells in shown.items()}
    return layout.made(pd.DataFrame(table), "id")


def _labelled(rng, shown, chosen, layout):
    """A row a profile in an SPSS file with value labels in the order of the questionnaire."""
    person, task, profile, yes = _stacked(shown, chosen)
    table = {"caseid": person + 1001, "round": task + 1, "position": profile + 1, "chosen": yes}
    labels = {"chosen": {0: "Not selected", 1: "Selected"}}
    for k, (cells, levels) in enumerate(zip(shown.values(), layout.attributes, strict=True), 1):
        table[f"attr{k}"] = pd.Categorical(cells.ravel(), levels).codes + 1
        labels[f"attr{k}"] = dict(enumerate(levels, 1))
    told = layout.made(pd.DataFrame(table), "caseid", labels=labels)
    told.ordered[:] = [True] * len(told.ordered)  # the labels tell the order of all of them
    return told


def _qualtrics(rng, shown, chosen, layout):
    """Embedded data at the end of an export of Qualtrics, questions in matrices named by number."""
    n, tasks = chosen.shape
    table = _platform(rng, n)
    values = np.array(["Policy 1", "Policy 2"])[chosen - 1]
    table |= {f"Q{10 + 3 * i}": values[:, i] for i in range(tasks)}
    table |= {f"Q{11 + 3 * i}_Page Submit": np.round(rng.random(n) * 30, 2) for i in range(tasks)}
    table |= {name: rng.choice(values, n) for name, values in AFTER.items()}
    for i in range(tasks):
        for j in (0, 1):
            table |= {f"t{i + 1}.p{j + 1}.{name}": cells[:, i, j] for name, cells in shown.items()}
    table = pd.DataFrame(table)
    return layout.made(table, "ResponseId", head=_three_rows(table))
