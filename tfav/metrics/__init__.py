"""Floor 2: scores, by well-kept libraries where they give the number."""
