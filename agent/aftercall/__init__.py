"""The after-call worker: durable jobs that need models, voices or recognisers and no call."""
