"""How cells are measured: which channels outline them, and how much is measured."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from contrascope.config.settings import Settings
from contrascope.vocabulary import BATCH


class FeatureSettings(Settings):
    """What is measured of each crop.

    Attributes:
        nucleus: The channel in which nuclei are bright; None takes the store's reference channel.
        cell: Channels that show where cells end, seen together; None takes all but that of the nucleus.
        features: ``full`` is all that cp_measure has; ``fast`` leaves out what takes nine tenths of the time:
            Zernike moments, Feret diameters, radial distributions, granularity and Costes' coefficients.
        diameter: Of a typical nucleus, in pixels; None measures it in the store.
    """

    nucleus: str | None = None
    cell: Annotated[list[str], Field(min_length=1)] | None = None
    features: Literal["fast", "full"] = "full"
    diameter: Annotated[float, Field(ge=4)] | None = None


class RivalSettings(FeatureSettings):
    """CellProfiler's features as a rival of the learned spaces, measured on the same cells.

    Attributes:
        components: Principal components, at most.
        batch: Column of the batches on whose controls features are standardised, each with ten controls or more.
    """

    components: Annotated[int, Field(ge=1)] = 64
    batch: str = BATCH

    @property
    def measured(self) -> dict[str, Any]:
        """What is asked of the measuring alone."""
        return self.model_dump(include=set(FeatureSettings.model_fields))
