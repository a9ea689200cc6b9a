"""Draw every figure of a study: PDF, SVG, PNG and the tidy data behind it."""

from pathlib import Path

from nanotarget.report import theme
from nanotarget.report.figures import build
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting


def draw(sources, descriptions, settings, profiles, analysed):
    """Write the figures beside `descriptions`, which holds their alternative texts."""
    folder = Path(descriptions).parent
    drawn = build(
        {name: artefacts.read_csv(path) for name, path in sources.items()},
        theme.Names.from_settings(settings),
        profiles=profiles,
        analysed=analysed,
    )
    for name, figure in drawn.items():
        theme.save(figure.figure, folder / name)
        artefacts.write_csv(figure.data, folder / f"{name}.csv")
    artefacts.write_json({name: figure.description for name, figure in drawn.items()}, descriptions)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        draw(
            {name: path for name, path in snakemake.input.items() if name != "library"},
            snakemake.output.descriptions,
            snakemake.params.names,
            snakemake.params.profiles,
            snakemake.params.analysed,
        )
