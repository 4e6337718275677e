"""The family: members differ in their priors and in nothing else."""

from __future__ import annotations

import pytest
import torch

from contrascope.config import TrainingSettings
from contrascope.errors import SettingsError
from contrascope.models.likelihood import ClosedFormScale, LearnedScale
from contrascope.models.priors import LevelMeans, PerturbationPrior, StandardPrior
from contrascope.models.variants import build_model


def test_a_vae_uses_both_sizes_for_its_one_space(small: TrainingSettings) -> None:
    net = build_model("vae", small, channels=2, perturbations=3)
    assert net.sizes == {"background": small.background_size + small.salient_size}


@pytest.mark.parametrize(
    ("name", "priors"),
    [
        ("vae", {"background": StandardPrior}),
        ("cvae", {"background": StandardPrior, "salient": StandardPrior}),
        ("cvae-s", {"background": StandardPrior, "salient": PerturbationPrior}),
        ("cvae-z", {"background": PerturbationPrior, "salient": StandardPrior}),
        ("mcvae", {"background": PerturbationPrior, "salient": PerturbationPrior}),
        (
            "three-space",
            {"background": PerturbationPrior, "salient": PerturbationPrior, "technical": LevelMeans},
        ),
    ],
)
def test_a_name_is_a_choice_of_priors(small: TrainingSettings, name: str, priors: dict[str, type]) -> None:
    net = build_model(name, small, channels=2, perturbations=3, levels=lambda: (2,))
    assert {space: type(prior) for space, prior in net.priors.items()} == priors


def test_cvae_and_mcvae_of_one_seed_start_from_the_same_weights(small: TrainingSettings) -> None:
    cvae, mcvae = (build_model(name, small, channels=2, perturbations=3).state_dict() for name in ("cvae", "mcvae"))
    assert set(mcvae) - set(cvae) == {"priors.background.means", "priors.salient.means"}
    assert all(torch.equal(cvae[name], mcvae[name]) for name in cvae)


def test_the_two_encoders_start_differently(small: TrainingSettings) -> None:
    net = build_model("mcvae", small, channels=2, perturbations=3)
    background, salient = (net.encoders[space].layers[0].weight for space in ("background", "salient"))
    assert not torch.equal(background, salient)


def test_a_shared_encoder_is_one_network_for_all_spaces(small: TrainingSettings) -> None:
    shared = small.model_copy(update={"encoders": "shared"})
    apart, together = (build_model("mcvae", s, channels=2, perturbations=3) for s in (small, shared))
    assert (list(apart.encoders), list(together.encoders)) == (["background", "salient"], ["shared"])
    assert together.sizes == apart.sizes


def test_the_one_encoder_of_a_vae_is_the_same_by_either_setting(small: TrainingSettings) -> None:
    shared = small.model_copy(update={"encoders": "shared"})
    apart, together = (build_model("vae", s, channels=2, perturbations=3).state_dict() for s in (small, shared))
    assert apart.keys() == together.keys()
    assert all(torch.equal(apart[name], together[name]) for name in apart)


def test_there_are_as_many_prior_means_as_perturbations(small: TrainingSettings) -> None:
    net = build_model("mcvae", small, channels=2, perturbations=7)
    assert net.priors["background"].means.shape == (7, small.background_size)
    assert net.priors["salient"].means.shape == (7, small.salient_size)


@pytest.mark.parametrize(("name", "learns"), [("mcvae", True), ("cvae-z", True), ("cvae-s", False), ("cvae", False)])
def test_a_learned_mean_of_controls_is_the_background_priors(small: TrainingSettings, name: str, learns: bool) -> None:
    learned = small.model_copy(update={"control_prior": "learned"})
    parameters = build_model(name, learned, channels=2, perturbations=3).state_dict()
    assert ("priors.background.control_mean" in parameters) == learns
    assert "priors.salient.control_mean" not in parameters


def test_the_likelihood_is_the_one_asked_for(small: TrainingSettings) -> None:
    for name, kind in (("learned", LearnedScale), ("closed-form", ClosedFormScale)):
        settings = small.model_copy(update={"likelihood_scale": name})
        assert isinstance(build_model("cvae", settings, channels=2, perturbations=3).likelihood, kind)


def test_an_unknown_model_is_named_together_with_those_there_are(small: TrainingSettings) -> None:
    with pytest.raises(SettingsError, match=r"'supervae'.*cvae, cvae-s, cvae-z, mcvae, three-space, vae"):
        build_model("supervae", small, channels=2, perturbations=3)


def test_an_unknown_architecture_is_named_together_with_those_there_are(small: TrainingSettings) -> None:
    with pytest.raises(SettingsError, match=r"'resnet'.*conv5"):
        build_model("vae", small.model_copy(update={"architecture": "resnet"}), channels=2, perturbations=3)


@pytest.mark.parametrize("scale", ["learned", "closed-form"])
def test_pixels_at_the_rim_weigh_less_where_the_cell_is_in_focus(small: TrainingSettings, scale: str) -> None:
    def prices(focus: str) -> list[float]:
        changed = small.model_copy(update={"focus": focus, "likelihood_scale": scale})
        likelihood = build_model("mcvae", changed, channels=2, perturbations=3).likelihood.eval()
        x, side = torch.zeros(1, 2, small.image_size, small.image_size), small.image_size
        found = []
        for place in (0, side // 2):
            drawn = x.clone()
            drawn[..., place, place] = 1.0
            found.append((likelihood(x, drawn) - likelihood(x, x)).item())
        return found

    rim, middle = prices("cell")
    assert 0 <= rim < middle / 2
    rim, middle = prices("crop")
    assert rim == pytest.approx(middle, rel=1e-4)
