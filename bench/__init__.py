"""Measurements against the promises of the design; figures live here, never in timed tests."""
