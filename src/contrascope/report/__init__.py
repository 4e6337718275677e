"""The report: one HTML page that holds all it shows and asks the network for nothing."""
