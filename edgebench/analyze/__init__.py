"""Statistics, comparison and judgement: pure functions on records."""
