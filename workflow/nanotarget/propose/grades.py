"""Which grade a level means: a rung of a scale, or a degree on one of two sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanotarget.propose.vocabulary import longest, plain, tokens, vocabulary

PLAIN = 2.0  # strength of what stands without a word of degree


def graded(texts: Sequence[str]) -> tuple[list[float], str] | None:
    """Return a number for each text by which they are in order, and of what; None if they are no grades.

    Tried in turn: whole texts as rungs of a scale, degrees of one thing or of two opposite ones, and texts
    that begin with a rung; each also without the words that all texts begin or end with.
    """
    bare = without_shared(texts)
    variants = [texts, bare] if bare != list(map(plain, texts)) else [texts]
    readers: tuple[Callable[[Sequence[str]], tuple[list[float], str] | None], ...] = (
        _whole_rungs, _degrees, _begun_rungs
    )  # fmt: skip
    return next((found for read in readers for same in variants if (found := read(same))), None)


def without_shared(texts: Sequence[str]) -> list[str]:
    """Return the texts, as `plain` writes them, without the words that all begin or end with."""
    split = [tokens(text) for text in texts]
    shortest = min(map(len, split), default=0)
    start = next((i for i in range(shortest) if len({words[i] for words in split}) > 1), shortest)
    rest = [words[start:] for words in split]
    shortest -= start
    end = next((i for i in range(shortest) if len({words[-1 - i] for words in rest}) > 1), shortest)
    left = [words[: len(words) - end] for words in rest]
    return [" ".join(_without_fillers(words)) for words in left]


def _without_fillers(words: list[str]) -> list[str]:
    while len(words) > 1 and words[-1] in vocabulary().fillers:
        words = words[:-1]
    return words


def _whole_rungs(texts: Sequence[str]) -> tuple[list[float], str] | None:
    return _rungs(texts, lambda text, scale: scale.get(plain(text)))


def _begun_rungs(texts: Sequence[str]) -> tuple[list[float], str] | None:
    """Read texts that begin with a rung and go on differently; two are too few to say what they share."""
    if len(texts) < 3:
        return None

    def begun(text: str, scale: dict[str, int]) -> int | None:
        words = tokens(text)
        _, end = longest(words, scale)
        phrase = " ".join(words[:end])
        return scale[phrase] if len(phrase) > 2 or phrase == plain(text) or phrase == "no" else None

    return _rungs(texts, begun)


def _rungs(
    texts: Sequence[str], rung: Callable[[str, dict[str, int]], int | None]
) -> tuple[list[float], str] | None:
    """Find the scale on which all texts have a rung of their own."""
    for name, scale in vocabulary().scales.items():
        found = [rung(text, dict(scale)) for text in texts]
        known = [float(i) for i in found if i is not None]
        if len(known) == len(texts) == len(set(known)):
            return known, f"of the scale '{name}'"
    return None


def _degrees(texts: Sequence[str]) -> tuple[list[float], str] | None:
    """Read degrees of one thing, or of two opposite ones with a middle between them."""
    words = vocabulary()
    parts = [_parts(text) for text in texts]
    stems = {stem for strength, stem in parts if strength is not None}
    pairs = [{pair for pair, _ in words.opposites.get(stem, ())} for stem in stems]
    common = set.intersection(*pairs) if pairs else set()
    if len(stems) == 1 and (len(texts) > 2 or "" not in stems):
        values = [0.0 if strength is None else strength for strength, _ in parts]
        of = f"of degrees of '{next(iter(stems))}'"
    elif len(stems) == 2 and common:
        side = {stem: dict(words.opposites[stem])[min(common)] for stem in stems}
        values = [0.0 if strength is None else strength * side[stem] for strength, stem in parts]
        of = f"of degrees from '{min(stems, key=side.__getitem__)}' to '{max(stems, key=side.__getitem__)}'"
    else:
        return None
    return (values, of) if len(set(values)) == len(texts) else None


def _parts(text: str) -> tuple[float | None, str]:
    """Split a text into strength and what is graded; the strength of a middle is None."""
    words, known = tokens(text), vocabulary()
    if plain(text) in known.middles or (words and words[0] in ("neither", "ni", "weder", "né", "noch")):
        return None, ""
    start, end = longest(words, known.degrees, anywhere=True)
    strength = known.degrees[" ".join(words[start:end])] if end else PLAIN
    if end and start and " ".join(words[start - 1 : end]) in known.opposites:
        strength, end = PLAIN, start  # a word of what is graded
    rest = [*words[:start], *words[end:]]
    if " ".join(rest) in known.opposites:
        return strength, " ".join(rest)
    if strength > 0 and rest and rest[0] in known.negations:
        strength, rest = -strength, rest[1:]
    elif strength > 0 and (inner := [word for word in rest if word not in known.negations]) != rest:
        strength, rest = -strength, inner
    return strength, " ".join(_without_fillers(rest))
