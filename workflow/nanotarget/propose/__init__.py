"""A config proposed from data: what columns look like, what they seem to mean, and how sure that is."""

from nanotarget.proposal.study import Proposal, propose
from nanotarget.proposal.written import study_name, write_config

__all__ = ["Proposal", "propose", "study_name", "write_config"]
