"""Simulated studies and their truth; no stage of a study."""
