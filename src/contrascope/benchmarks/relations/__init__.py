"""Which profiles are alike, against which genes are known to be related; one reading a file.

similarity (of all pairs) and truth (which pairs are related) feed sweep, recall, ranking and within; evidence gathers
what they say of each related pair, so that complexes can be resampled; compare sets several embeddings side by side.
"""
