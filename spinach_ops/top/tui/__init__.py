"""The Textual application, and the only part that loads Textual: shows what `screen` draws, turns keys into actions."""
