"""Typed settings, read from and written to YAML; the only home of defaults.

Every key is known here, and a key that is not is an error: a misspelt setting must never be ignored.
"""

from contrascope.config.features import FeatureSettings
from contrascope.config.screen import (
    AnnotationSettings,
    CellTableSettings,
    ControlRule,
    CropSettings,
    EmbeddingSettings,
    ImageSettings,
    RoundSettings,
    ScreenSettings,
    load_screen_settings,
)
from contrascope.config.settings import Settings, fingerprint, read_yaml, validated
from contrascope.config.training import CLEAN, OF_EMBEDDING, PRESETS, TrainingSettings, training_settings

__all__ = [
    "CLEAN",
    "OF_EMBEDDING",
    "PRESETS",
    "AnnotationSettings",
    "CellTableSettings",
    "ControlRule",
    "CropSettings",
    "EmbeddingSettings",
    "FeatureSettings",
    "ImageSettings",
    "RoundSettings",
    "ScreenSettings",
    "Settings",
    "TrainingSettings",
    "fingerprint",
    "load_screen_settings",
    "read_yaml",
    "training_settings",
    "validated",
]
