"""Floor 5: one self-contained HTML page per run, or of several side by side, and the plots and pictures on it."""

from tfav.report.comparison import write_comparison
from tfav.report.html import write_report
from tfav.report.predictions import print_predictions
from tfav.report.summary import write_summary

__all__ = ["print_predictions", "write_comparison", "write_report", "write_summary"]
