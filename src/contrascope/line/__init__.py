"""What ``pipeline.py`` is made of: the stages' work, what is kept of it, and what each of them was made from.

stages.py        which stages are done, and from what; saved in the folder of the analysis
made_from.py     what each stage is made from, so that a change makes again what depends on it and no more
finished.py      what finished stages have left, read from the folder
training_run.py  the run that a screen is trained into, and the one that it starts from
judging.py       which benchmarks a screen can answer
pictures.py, thumbnails.py, cards.py, page.py    the pictures, cards and the report
"""
