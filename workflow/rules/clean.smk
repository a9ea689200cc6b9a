rule check:
    message:
        "Checking the config and the raw data of {config[study]}"
    output:
        report="<results>/check.json",
    log:
        "<logs>/check.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    script:
        "../scripts/check.py"
