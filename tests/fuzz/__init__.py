"""Hostile files: every parser that is ours, fed with spoilt ones."""
