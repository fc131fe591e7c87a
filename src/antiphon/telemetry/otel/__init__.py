"""OpenTelemetry: which traces are sampled, how spans are encoded, texts in spans."""
