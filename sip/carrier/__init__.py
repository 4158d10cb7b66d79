"""A carrier and phones on loopback: numbers whose behaviour is known before they are called."""
