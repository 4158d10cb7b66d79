"""Warm transfers: a human is asked, alone, whether they take the call."""
