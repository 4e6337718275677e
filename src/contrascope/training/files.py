"""Names of the files in a run's folder; ``run.py`` says what is in them."""

from __future__ import annotations

FACTS, WEIGHTS, MATCHED = "run.json", "weights.safetensors", "matched.safetensors"
METRICS, SPLIT = "metrics.csv", "split.parquet"

UNFINISHED, RESUME = "unfinished.json", "resume.safetensors"
"""Of a training that is not over: what it is of, and where it has come to."""
