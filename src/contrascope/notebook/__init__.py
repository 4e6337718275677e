"""What a notebook shows of a screen, a store, a run and a result: one thing a file, each a function to HTML.

Classes know these by name only (``shown.py``). All text is escaped, pictures are inside, and the whole stays below
200 kB, as it is saved with the notebook.
"""
