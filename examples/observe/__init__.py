"""`make observe`: a small fleet under load with everything that watches it, until Ctrl-C."""
