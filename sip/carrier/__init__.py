"""A carrier and phones on loopback: numbers whose fate is known before they are called."""
