"""nanotarget: learn, diagnose, assign and analyse nano-targeting experiments.

The modules read in the order in which data flow and import only what stands before them
(`FLOW`; a test holds them to it). None of them knows a path of the project or Snakemake.
"""

FLOW = (
    "problems",
    "artefacts",
    "seeds",
    "config",
    "design",
    "raw",
    "contracts",
    "cells",
    "quality",
    "people",
    "clean",
    "regression",
    "conjoint",
    "encoding",
    "ensemble",
    "learners",
    "score",
    "policy",
    "value",
    "diagnose",
    "preregistration",
    "assign",
    "randomise",
    "fielding",
    "estimate",
    "explore",
    "theme",
    "figures",
    "tables",
    "report",
    "simulate",
    "truth",
    "provenance",
    "cli",
)
