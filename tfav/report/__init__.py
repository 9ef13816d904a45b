"""Floor 5: one self-contained HTML page per run, and the plots and pictures on it."""

from tfav.report.page import write_report

__all__ = ["write_report"]
