"""Figures: one kind a file, each a function from data to a ``matplotlib.figure.Figure``.

They use matplotlib's objects, not pyplot: nothing global is touched, no window opens, and a figure is freed
when nobody holds it. All take their looks from ``style``.
"""
