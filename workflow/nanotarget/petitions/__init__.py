"""Petitions: the design of their grid, utilities of levels, exact scores of the whole grid, policies."""
