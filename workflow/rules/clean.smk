# Raw files are inputs only where they exist: a missing one is reported by `check`, in our words.
RAW = all_raw_files(study)
# The shards of a roster are divided among jobs by its size; how many shards there are is known only when it
# has been read, so that a job does every so many-th. MANY is what a job asks for that goes through all.
SLICES = slices(config["roster"]["file"]) if config["roster"] else 1
MILLIONS = people(config["roster"]["file"]) / 1e6 if config["roster"] else 0
MANY = {
    "mem_mb": LIGHT["mem_mb"] + round(200 * MILLIONS),
    "runtime": LIGHT["runtime"] + round(5 * MILLIONS),
}
CLEANED = {
    "flow": "<results>/clean/flow.csv",
    "quality": "<results>/clean/quality.csv",
    "exact_flow": "<private>/clean/flow.csv",
}
if config["calibration"]:
    CLEANED["calibration"] = "<private>/clean/calibration.parquet"
    CLEANED["calibration_respondents"] = (
        "<private>/clean/calibration_respondents.parquet"
    )
    if config["calibration"]["attribute_names"]:
        CLEANED["attribute_rows"] = "<private>/clean/attribute_rows.parquet"
    if config["calibration"]["repeated"]:
        CLEANED["second_answers"] = "<private>/clean/second_answers.parquet"
if config["experiment"]:
    CLEANED["experiment"] = "<private>/clean/experiment.parquet"
if config["roster"]:
    CLEANED["roster"] = directory("<private>/clean/roster.parquet")
    CLEANED["roster_ids"] = directory("<private>/clean/roster_ids.parquet")
    CLEANED["roster_sample"] = "<private>/clean/roster_sample.parquet"


rule check:
    input:
        raw=lambda wildcards: [
            file
            for file in [*RAW, config["preregistration"]]
            if file and Path(file).is_file()
        ],
        library=library("check.py"),
    output:
        report="<results>/check.json",
    log:
        "<logs>/check.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        study=part_of(DataConfig, config),
        source=literal(Path(CONFIG_FILES[0]).name),
    message:
        f"Checking the config and the raw data of {study.study}"
    script:
        "../scripts/check.py"


# The secret of the pseudonyms is neither input nor output, as the ledger of a roster: it must outlive results.
rule clean:
    input:
        check=rules.check.output.report,
        raw=lambda wildcards: [file for file in RAW if Path(file).is_file()],
        library=library("clean.py"),
    output:
        **CLEANED,
        ids="<private>/clean/ids.parquet",
        readmes=[f"<results>/{readme}" for readme in READMES],
    log:
        "<logs>/clean.log",
    conda:
        "../../environment.yml"
    resources:
        **MANY,
    params:
        data=part_of(DataConfig, config),
        secret=literal(study.secret),
        min_cell=config["privacy"]["min_cell"],
    message:
        f"Cleaning the raw data of {study.study}"
    script:
        "../scripts/clean.py"
