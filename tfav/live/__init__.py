"""Answers about what a camera, a stream or a played file shows now. The newest frame wins, and nothing queues."""

from tfav.live.loop import Live, Report, Window, look

__all__ = ["Live", "Report", "Window", "look"]
