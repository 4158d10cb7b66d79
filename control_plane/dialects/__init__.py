"""Other contracts for the same calls: each translates, and keeps its own words to itself."""
