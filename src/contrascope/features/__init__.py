"""Measured features of cells: from their crops, or from tables of other programs; normalised and reduced."""
