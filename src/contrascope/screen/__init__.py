"""A screen: tiles from a microscope and a table that says where each cell is and what was done to it."""
