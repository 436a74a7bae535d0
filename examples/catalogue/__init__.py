"""The demo: catalogues the source files of a Python installation with background jobs."""
