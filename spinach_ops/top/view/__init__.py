"""The vocabulary of every screen part: the view model, table cells, formats of numbers. Pure; knows no board."""
