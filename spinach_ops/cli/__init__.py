"""What the command lines share: options, exit codes, error endings, tables, packaged files."""
