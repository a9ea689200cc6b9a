"""nanotarget: learn, diagnose, assign and analyse nano-targeting experiments.

One folder a stage, in the order in which data flow; a module imports only from its own folder and from
those before it (`FLOW`; a test holds them to it). None of them knows a path of the project or Snakemake.
"""

FLOW = (
    "study",
    "petitions",
    "clean",
    "calibrate",
    "diagnose",
    "assign",
    "estimate",
    "explore",
    "report",
    "propose",
    "simulate",
    "cli",
)
