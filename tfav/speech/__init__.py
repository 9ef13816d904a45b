"""Floor 3: what systems that work on speech share: recordings, transcripts, word times."""
