"""The frozen model is read only if it is the one that was frozen, and that was registered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nanotarget.calibrate import frozen
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.study.problems import InputError


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """Settings, arrays and checksums; what the model would be made of is not asked here."""
    monkeypatch.setattr(frozen, "model_from_data", lambda settings, arrays, design: settings)
    monkeypatch.setattr(frozen, "read_npz", lambda path: {})
    files = [tmp_path / "model.json", tmp_path / "model.npz"]
    files[0].write_text('{"format": "additive"}')
    files[1].write_bytes(b"arrays")
    sums = tmp_path / "SHA256SUMS"
    sums.write_text("".join(f"{digest(file)}  {file.name}\n" for file in files))
    return str(files[0]), str(files[1]), str(sums)


def digest(file: Path | str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def test_the_frozen_and_registered_model_is_read(model):
    settings, arrays, _ = model
    known = {"model.json": digest(settings), "model.npz": digest(arrays)}
    for registered in (None, {}, known, {"model.npz": digest(arrays)}):
        assert read_frozen(*model, design=None, registered=registered) == {"format": "additive"}


@pytest.mark.parametrize("which", [0, 1])
def test_a_model_that_was_tampered_with_is_refused(model, which):
    with Path(model[which]).open("ab") as file:
        file.write(b" ")
    with pytest.raises(InputError, match="not the one that was frozen"):
        read_frozen(*model, design=None)


def test_checksums_that_say_nothing_are_refused(model):
    Path(model[2]).write_text("\n")
    with pytest.raises(InputError, match=r"2 problems(.|\n)*model\.json(.|\n)*model\.npz"):
        read_frozen(*model, design=None)


def test_another_model_than_the_registered_is_refused(model):
    with pytest.raises(InputError, match=r"model\.npz(.|\n)*not the registered one(.|\n)*key model"):
        read_frozen(*model, design=None, registered={"model.npz": "0" * 64})
