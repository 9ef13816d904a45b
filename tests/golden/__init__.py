"""Figures that were recorded, so that a change which should move nothing is seen to move nothing."""
