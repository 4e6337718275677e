"""Training a model on a store, and the folder that says all about it."""
