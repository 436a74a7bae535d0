"""The terminal: the only part that loads Textual. Draws what `frame` returns, turns keys into what `navigation` does."""
