"""Voices, models and prompts that are kept by themselves."""
