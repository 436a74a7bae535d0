"""What every part of the screen is made of: the view model, table cells, number formats. Pure."""
