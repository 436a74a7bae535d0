"""Puts the lines of the whole screen together: header, board, queue panel, detail. Pure; loads no Textual."""
