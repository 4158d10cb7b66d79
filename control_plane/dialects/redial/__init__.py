"""Redial: four endpoints for calls by an OpenAI realtime model."""
