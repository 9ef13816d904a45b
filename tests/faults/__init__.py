"""What may go wrong around a run, done for real; README.md has the table."""
