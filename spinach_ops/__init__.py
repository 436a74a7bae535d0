"""The tools that watch the engine: metrics, spans, terminal UI, command line."""
