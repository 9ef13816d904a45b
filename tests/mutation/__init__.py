"""Changes the code in one place at a time and looks whether a test notices: `python -m tests.mutation`."""
