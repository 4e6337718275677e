"""The live view: a store's cells on a page of this machine, read as they are asked for, and nothing written."""
