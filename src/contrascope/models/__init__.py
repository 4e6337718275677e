"""The model family: one objective, composed of encoders, a decoder, priors and a likelihood."""
