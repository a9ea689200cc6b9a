"""A config proposed from data: what columns look like, what they seem to mean, and how sure that is."""

from nanotarget.propose.study import Proposal, propose
from nanotarget.propose.verified import check_proposal, questions, verified_config
from nanotarget.propose.written import study_name, write_config

__all__ = [
    "Proposal",
    "check_proposal",
    "propose",
    "questions",
    "study_name",
    "verified_config",
    "write_config",
]
