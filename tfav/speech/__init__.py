"""Recordings of people who speak, and what was said in them: what systems for lips and for words share."""
