"""Dial outbound: one endpoint that calls a number by a use case."""
