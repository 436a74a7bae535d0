"""The Textual application: shows what `screen` draws, turns keys into actions. Only it loads Textual."""
