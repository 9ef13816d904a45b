"""Runs the notebooks: as tests on less data, and `python -m tests.notebooks` to store their outputs."""
