"""A synthetic optical pooled screen with known truth: who its cells are, how they look, what the microscope does.

``design`` decides what the screen contains, ``cells`` draws each cell's natural variation and what its guide
does to it, ``render`` paints cells, ``artifacts`` is the microscope, ``write`` the upstream pipeline's files.
"""
