"""contrascope: what a perturbation does to cells in microscope images, apart from what cells do anyway."""
