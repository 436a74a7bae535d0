"""The command `spinach-ops`: one module per command."""
