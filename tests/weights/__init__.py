"""Weights from elsewhere: each reader against files made in the test, and real ones where they lie."""
