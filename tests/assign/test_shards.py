"""A roster in many shards, done by several jobs, gives everybody what one shard in one job gives."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nanotarget.assign import assign as assigning
from nanotarget.assign.assign import count_petitions, lookup_table
from nanotarget.assign.shards import assign_parts, cut, place
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.clean.pseudonyms import roster_part
from nanotarget.estimate import Trial, balance
from nanotarget.study import artefacts, keyed, shards
from nanotarget.study.config import CovariateConfig, PolicyConfig
from nanotarget.study.keyed import KeyedDraws, hashes, sampled, uniforms
from worlds import factorial, simulate

POLICIES = ["random", "overall_best", "segment", "nano"]
ARMS = [
    {"name": "control", "share": 1},
    {"name": "best", "share": 1, "policy": "overall_best"},
    {"name": "nano", "share": 2, "policy": "nano"},
]
N = 90


def script(project, name):
    """A script of the workflow as a module."""
    spec = importlib.util.spec_from_file_location(name, project / f"workflow/scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fitted():
    design = factorial((3, 3, 2), [{"a0": ["l0"], "a1": ["l1", "l2"]}])
    data, _ = simulate(design, N, 4, np.random.default_rng(0), specific=0.8)
    roster = data.respondents.drop(columns="weight").assign(opt_out=np.arange(N) % 9 == 0)
    roster["region"] = pd.Categorical(np.where(np.arange(N) % 4, "North", "South"))
    covariates = [c for c in roster if c not in ("respondent_id", "opt_out", "region")]
    policies = assigning.Policies.learned(
        fit_ridge(data, 1), data.respondents, PolicyConfig(policies=POLICIES, segments=2), 7
    )
    return policies, roster, [CovariateConfig(name=name, kind="numeric") for name in covariates]


@pytest.fixture
def fielded(fitted, project, tmp_path, monkeypatch):
    """Run the scripts of the stage on a roster in shards of a size, by so many jobs."""
    policies, roster, covariates = fitted
    monkeypatch.chdir(tmp_path)
    choose, score, randomise, fielding = (
        script(project, name) for name in ("choose", "score", "randomise", "fielding")
    )
    for module in (choose, score):
        monkeypatch.setattr(module, "learned_policies", lambda *_: policies)

    def run(size, slices):
        folder = tmp_path / f"{size} by {slices}"
        folder.mkdir()
        people, ids = folder / "roster.parquet", folder / "ids.parquet"
        for start in range(0, N, size):
            for name, part in zip(
                (people, ids), roster_part(roster.iloc[start : start + size], {}, b"k"), strict=True
            ):
                name.mkdir(exist_ok=True)
                artefacts.write_parquet(part, name / shards.part_name(start // size))
        made = [str(folder / f"slice {number}") for number in range(slices if slices > 1 else 0)]
        for number, output in enumerate(made):
            params = SimpleNamespace(number=number, slices=slices)
            score.write_parts(SimpleNamespace(roster=str(people)), output, params)
        outputs = SimpleNamespace(assignments=str(folder / "assignments.parquet"))
        choose.write_assignments(
            SimpleNamespace(roster=str(people), get=lambda _: made), outputs, SimpleNamespace()
        )
        inputs = SimpleNamespace(
            roster=people, ids=ids, assignments=outputs.assignments, arms=folder / "arms.csv"
        )
        drawn = SimpleNamespace(arms=inputs.arms, balance=folder / "balance.csv")
        ledger = f"{size} by {slices} of people/ledger"
        names = [c.model_dump(mode="json") for c in covariates]
        settings = {"arms": ARMS, "blocks": ["region"], "ledger": ledger, "covariates": names}
        randomise.write_arms(inputs, drawn, SimpleNamespace(**settings, seed=3, min_cell=1))
        config = {
            "attributes": [
                {"name": a.name, "levels": list(a.levels), "column": a.name}
                for a in policies.model.design.attributes
            ],
            "prohibited": [{"a0": ["l0"], "a1": ["l1", "l2"]}],
        }
        fielding.write_fielding(inputs, folder / "fielding.csv", ARMS, config, True)
        return folder

    return run


def test_shards_and_jobs_change_nothing_for_anybody(fielded):
    whole, divided, alone = fielded(N, 1), fielded(20, 3), fielded(20, 1)
    same = pd.testing.assert_frame_equal
    for name in ("assignments.parquet", "arms.csv", "fielding.csv", "balance.csv"):
        for one, other in zip(files(divided / name), files(alone / name), strict=True):
            assert one.read_bytes() == other.read_bytes()
    both = [shards.read_all(folder / "assignments.parquet") for folder in (whole, divided)]
    both = [table.sort_values("respondent_id", kind="stable", ignore_index=True) for table in both]
    same(both[0], both[1])
    same(
        count_petitions([both[0]]),
        count_petitions(map(shards.read_part, files(divided / "assignments.parquet"))),
    )
    for name in ("arms.csv", "fielding.csv"):
        first, second = (artefacts.read_csv(folder / name, dtype="str") for folder in (whole, divided))
        first, second = (table.sort_values("respondent_id", ignore_index=True) for table in (first, second))
        same(first[list(second)], second)
    assert set(first) - set(second) == {"a0", "a1", "a2", "petition_text"}
    same(*(artefacts.read_csv(folder / "balance.csv") for folder in (whole, divided)), rtol=1e-10)


def files(path):
    return shards.parts(path)


def test_the_ledger_knows_people_by_their_own_ids_whatever_the_shards(fielded):
    written = []
    for size in (N, 20):
        folder = fielded(size, 1)
        waves = folder.parent / f"{size} by 1 of people/ledger"
        written.append({file.relative_to(waves): file.read_bytes() for file in waves.rglob("*.*")})
    assert written[0] == written[1]
    ledger = pd.read_parquet(waves / "wave-0001")
    assert ledger["respondent_id"].isin([f"r{i}" for i in range(10**4)]).all() or len(ledger) == N
    by_block = pd.crosstab(ledger["block"], ledger["arm"]).to_numpy()
    exact = by_block.sum(axis=1)[:, None] * np.array([0.25, 0.25, 0.5])
    assert (np.abs(by_block - exact) < 1).all()


def test_a_job_that_is_killed_leaves_no_folder_and_the_next_one_a_whole(fitted, tmp_path, monkeypatch):
    policies, roster, _ = fitted
    parts = tmp_path / "roster"
    parts.mkdir()
    write = shards.writer(parts)
    for start in range(0, N, 30):
        write(roster.iloc[start : start + 30])
    target = tmp_path / "made"

    def fill():
        with shards.replacing_folder(target) as folder:
            assign_parts(policies, shards.parts(parts), folder)

    calls = iter(range(10))
    whole = artefacts.pq.write_table
    full = OSError(28, "No space left on device", str(target))

    def until_full(*arguments, **options):
        if next(calls) == 2:
            raise full
        whole(*arguments, **options)

    monkeypatch.setattr(artefacts.pq, "write_table", until_full)
    with pytest.raises(OSError, match="No space left"):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["roster"]
    (tmp_path / ".made.tmp").mkdir()  # of a job that was killed
    (tmp_path / ".made.tmp/part-00009.parquet").write_text("half")
    monkeypatch.undo()
    fill()
    assert [part.name for part in shards.parts(target)] == [part.name for part in shards.parts(parts)]
    assert shards.sizes(shards.parts(target)) == [120] * 3


def test_parts_are_placed_by_links_or_copies(tmp_path, monkeypatch):
    (tmp_path / "slice").mkdir()
    artefacts.write_parquet(pd.DataFrame({"x": [1]}), tmp_path / "slice" / shards.part_name(0))
    for name, refuse in (("linked", False), ("copied", True)):
        (tmp_path / name).mkdir()
        if refuse:
            monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
        place([str(tmp_path / "slice")], tmp_path / name)
        assert pd.read_parquet(tmp_path / name)["x"].tolist() == [1]


def test_a_table_is_cut_like_the_parts_and_another_one_is_refused(tmp_path):
    write = shards.writer(tmp_path)
    for size in (3, 2):
        write(pd.DataFrame({"x": range(size)}))
    table = pd.DataFrame({"y": range(5)})
    assert [part["y"].tolist() for part in cut(table, shards.parts(tmp_path))] == [[0, 1, 2], [3, 4]]
    with pytest.raises(ValueError, match="other people"):
        list(cut(table.iloc[1:], shards.parts(tmp_path)))


def test_the_lookup_adds_up_over_parts_and_says_when_it_is_too_long(fitted, monkeypatch):
    policies, roster, covariates = fitted
    coarse = roster.assign(**{c.name: (roster[c.name] > 0).astype(float) for c in covariates[:2]})
    coarse = coarse.assign(**{c.name: np.nan for c in covariates[2:]})
    table = policies.assign(coarse)
    whole = lookup_table([(table, coarse)], covariates, "nano")
    parts = []
    for start in range(0, N, 25):
        people = coarse.iloc[start : start + 25]
        parts.append((table[table["respondent_id"].isin(people["respondent_id"])], people))
    pd.testing.assert_frame_equal(lookup_table(parts, covariates, "nano"), whole)
    assert whole["n"].sum() == (~coarse["opt_out"]).sum()
    monkeypatch.setattr(assigning, "MOST_PROFILES", len(whole) - 1)
    for given in (parts, [(table, coarse)]):
        (said,) = lookup_table(given, covariates, "nano")["not_written"]
        assert "more than" in said and "fielding export" in said


def test_balance_of_parts_is_that_of_the_whole(fitted):
    _, roster, covariates = fitted
    rng = np.random.default_rng(1)
    people = roster.assign(arm=rng.choice(["a", "b"], N))
    people.loc[people.index[:4], covariates[0].name] = np.nan
    people.loc[:19, "arm"] = "b"  # a part without anybody in an arm
    several = [Trial(people.iloc[i : i + 20], ["a", "b"], covariates=covariates) for i in range(0, N, 20)]
    pd.testing.assert_frame_equal(
        balance(several[0], several[1:]),
        balance(Trial(people, ["a", "b"], covariates=covariates)),
        rtol=1e-12,
    )


def siphash(text, key):
    """SipHash-2-4 as published (Aumasson & Bernstein 2012), then the last steps of SplitMix64."""
    mask = 2**64 - 1
    k = [int.from_bytes(key[i : i + 8], "little") for i in (0, 8)]
    v = [
        k[0] ^ 0x736F6D6570736575,
        k[1] ^ 0x646F72616E646F6D,
        k[0] ^ 0x6C7967656E657261,
        k[1] ^ 0x7465646279746573,
    ]

    def turn(x, n):
        return ((x << n) | (x >> (64 - n))) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    data = text.encode()
    data += bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for i in range(0, len(data), 8):
        word = int.from_bytes(data[i : i + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    h = v[0] ^ v[1] ^ v[2] ^ v[3]
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & mask
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & mask
    return h ^ (h >> 31)


def test_hashes_are_those_that_are_published():
    ids = pd.Series(["", "r1", "12345678", "Zoë, the 2nd"], dtype="str")
    key = keyed.hashlib.sha256(b"5 arms").hexdigest()[:16].encode()
    assert hashes(ids, 5, "arms").tolist() == [siphash(text, key) for text in ids]


def test_draws_hang_on_the_person_alone_and_have_the_probabilities():
    ids = pd.Series([f"r{i}" for i in range(20_000)], dtype="str")
    drawn = uniforms(ids, 1, "x")
    assert 0 <= drawn.min() < 0.001 and 0.999 < drawn.max() < 1
    assert uniforms(ids[::-1], 1, "x").tolist() == drawn[::-1].tolist()
    share = np.array([0.2, 0.0, 0.5, 0.3, 0.0])
    draws = KeyedDraws(ids, 1, "random")
    first, second = draws.choice(5, 20_000, share), draws.choice(5, 20_000, share)
    for one in (first, second):
        error = np.sqrt(share * (1 - share) / 20_000)
        assert (np.abs(np.bincount(one, minlength=5) / 20_000 - share) <= 4.5 * error).all()
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.5 / np.sqrt(20_000)
    with pytest.raises(ValueError, match="one draw a person"):
        draws.choice(5, 3, share)


def test_the_sample_of_parts_is_that_of_the_whole(monkeypatch):
    people = pd.DataFrame({"respondent_id": [f"r{i}" for i in range(300)]}).astype("str")
    monkeypatch.setattr(keyed, "SAMPLED", 40)
    parts = pd.concat([sampled(people.iloc[:170]), sampled(people.iloc[170:])])
    pd.testing.assert_frame_equal(sampled(parts), sampled(people))
    assert len(sampled(people)) == 40 and len(sampled(people.iloc[:7])) == 7
