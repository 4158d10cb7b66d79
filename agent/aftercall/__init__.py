"""The after-call worker: durable jobs that need models, voices or ears, and no call."""
