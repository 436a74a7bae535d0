"""What every part of the screen uses: the view model, table cells, formats of numbers. Knows no board."""
