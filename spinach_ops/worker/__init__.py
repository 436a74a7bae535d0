"""The command `spinach worker`: finds the engine of an application, runs its workers and writes their log."""
