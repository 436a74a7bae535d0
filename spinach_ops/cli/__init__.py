"""What the command lines share: options, numbers, exit codes, error lines, tables, packaged files."""
