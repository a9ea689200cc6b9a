"""Pseudonyms: the same for one secret, in an order that does not depend on it; nothing else changes."""

import hashlib
import hmac
import re

import pandas as pd
import pytest

from nanotarget.clean.pseudonyms import (
    code,
    ids_of,
    public_key,
    ranked,
    roster_part,
    secret_key,
    under_pseudonyms,
)
from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.checks import read_study
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study

KEYS = (b"one", b"another")


@pytest.fixture
def cleaned(tmp_path, monkeypatch):
    def cleaned(study):
        monkeypatch.chdir(tmp_path)
        read = read_study(study.write(tmp_path))
        return read_samples(read, Design.from_config(read.design))

    return cleaned


def panel():
    study = tiny_study()
    study.experiment = study.experiment.iloc[:30].copy()
    study.experiment["id"] = [f"c{i}" for i in range(1, 31)]
    study.config["samples"] = "panel"
    return study


def test_a_code_is_the_keyed_hash_of_the_id():
    assert code("R_1", b"k") == hmac.new(b"k", b"R_1", hashlib.sha256).hexdigest()[:16]
    assert len({code(f"R_{i}", b"k") for i in range(5000)}) == 5000


def test_tables_differ_in_nothing_but_ids_and_keep_their_order_whatever_the_secret(cleaned):
    before = cleaned(tiny_study())
    tables = []
    for key in KEYS:
        after, mapping = under_pseudonyms(before, key)
        tables.append(after)
        for sample in ("calibration", "experiment"):
            old, new = getattr(before, sample).respondents, getattr(after, sample).respondents
            ids = ids_of(mapping, sample)
            same = old.columns.difference(["respondent_id", "cluster", "outcome_cluster"])
            pd.testing.assert_frame_equal(new[same], old[same])
            assert new["respondent_id"].map(ids).tolist() == old["respondent_id"].tolist()
            assert new["respondent_id"].is_monotonic_increasing
        profiles = after.calibration.profiles
        ids = ids_of(mapping, "calibration")
        assert (
            profiles["respondent_id"].map(ids).tolist()
            == before.calibration.profiles["respondent_id"].tolist()
        )
    assert not set(tables[0].experiment.respondents["respondent_id"]) & set(
        tables[1].experiment.respondents["respondent_id"]
    )


def test_no_id_is_left_in_any_table(cleaned):
    before = cleaned(tiny_study())
    after, _ = under_pseudonyms(before, b"k")
    ids = set(before.calibration.everyone) | set(before.experiment.respondents["respondent_id"])
    for table in (after.calibration.profiles, after.calibration.respondents, after.experiment.respondents):
        texts = table.select_dtypes(["object", "string", "str", "category"]).astype("str")
        assert not ids & set(texts.to_numpy().ravel())


def test_who_comes_back_has_one_pseudonym(cleaned):
    after, mapping = under_pseudonyms(cleaned(panel()), b"k")
    first, second = (ids_of(mapping, sample) for sample in ("calibration", "experiment"))
    assert len(second) > 20 and second.equals(first.loc[second.index])
    assert set(after.experiment.respondents["cluster"]) == set(after.experiment.respondents["respondent_id"])


def test_people_of_a_roster_keep_their_pseudonyms_when_others_join(cleaned):
    study = tiny_study()
    await_fielding(study)
    everyone = study.roster
    first, second = ({}, {})
    for names, rows in ((first, everyone.iloc[10:20]), (second, everyone)):
        study.roster = rows
        read = cleaned(study)
        people, whose = roster_part(read.roster.respondents, {}, b"k")
        names |= dict(zip(whose["respondent_id"], whose["id"], strict=True))
        assert people["respondent_id"].is_monotonic_increasing
        assert people["respondent_id"].equals(whose["respondent_id"])
        known = read.roster.respondents.set_index("respondent_id")
        assert people["age"].tolist() == known.loc[whose["id"], "age"].tolist()
        after, _ = under_pseudonyms(read, b"k")
        pd.testing.assert_frame_equal(after.roster.respondents, people)
    assert len(second) > len(first) > 5 and first.items() <= second.items()


def test_pseudonyms_sort_as_ids_do():
    ids = [f"R_{i}" for i in range(120)] + ["ä", "Z", "10"]
    names = ranked(ids, b"k")
    assert sorted(ids) == sorted(ids, key=names.get)
    assert all(re.fullmatch(r"\d{3}-[0-9a-f]{16}", name) for name in names.values())


def test_a_secret_is_drawn_once_and_only_its_owner_reads_it(tmp_path):
    file = tmp_path / "data/s/pseudonyms.key"
    key = secret_key(str(file))
    assert len(key) == 32 and file.stat().st_mode & 0o777 == 0o600
    assert secret_key(str(file)) == key != secret_key(str(tmp_path / "other.key"))
    file.write_text("what somebody wrote\n")
    with pytest.raises(InputError, match="not the secret of a study"):
        secret_key(str(file))


def test_simulated_studies_have_a_public_key_each():
    assert public_key("a") == public_key("a") != public_key("b")
