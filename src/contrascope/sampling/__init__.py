"""From a store to batches: who is trained on, which cells share a batch, and what is done to their pixels."""
