"""Doubts that `init` writes into the config: codes for no answer, late traits, derived outcomes."""

import numpy as np
import pandas as pd

from nanotarget.propose import propose, questions, verified_config


def trial(rng, n=200):
    answered = rng.random(n) < 0.9
    score = rng.integers(0, 11, n)
    return pd.DataFrame(
        {
            "id": range(n),
            "vote": np.where(answered, rng.integers(1, 5, n), 8),
            "party": pd.Series(rng.choice(["Left", "Right"], n)).where(answered),
            "arm": rng.choice(["control", "letter"], n),
            "income": rng.integers(1, 6, n),
            "score": score,
            "high": (score > 7).astype(int),
        }
    )


def asked(table, folder):
    table.to_csv(folder / "data.csv", index=False)
    text = verified_config(propose([str(folder / "data.csv")]), "doubts")
    lines = text.splitlines()
    return [lines[number - 1] for number in questions(text)]


def test_doubts_are_questions(tmp_path):
    found = asked(trial(np.random.default_rng(1)), tmp_path)
    assert len(found) == 3
    assert "'vote' is 8 exactly where 'party' is empty" in found[0]
    assert "were 'income' known before the treatment?" in found[1]
    assert "'high' follows from 'score'" in found[2]


def test_without_reason_there_is_no_doubt(tmp_path):
    table = trial(np.random.default_rng(2)).drop(columns="high")
    table["vote"] = np.random.default_rng(3).integers(1, 9, len(table))
    table.insert(1, "income", table.pop("income"))
    assert asked(table, tmp_path) == []
