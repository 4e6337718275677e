"""The objective against closed forms, sampling, and what the paper says of controls."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wasserstein_distance
from torch import Tensor, distributions, nn

from contrascope.models.contrastive import ContrastiveVAE, Normal
from contrascope.models.independence import dependence
from contrascope.models.likelihood import LearnedScale
from contrascope.models.objective import (
    BACKGROUND_SALIENT,
    SALIENT_TECHNICAL,
    TECHNICAL_PERTURBATION,
    Terms,
    kl_to_unit_normal,
    objective,
    squared_wasserstein_to_zero,
)
from contrascope.models.priors import PerturbationPrior, StandardPrior
from contrascope.vocabulary import Batch

Make = Callable[..., ContrastiveVAE]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_normal(B: int = 4, Z: int = 3, seed: int = 0) -> Normal:
    g = seeded(seed)
    return Normal(torch.randn(B, Z, generator=g), torch.randn(B, Z, generator=g))


def as_distribution(q: Normal) -> distributions.Normal:
    return distributions.Normal(q.mean, torch.exp(0.5 * q.log_variance))


def assert_same(a: Terms, b: Terms) -> None:
    for name in Terms._fields:
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=0, atol=0, msg=name)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_kl_is_the_closed_form_of_torch(seed: int) -> None:
    q, mean = some_normal(seed=seed), torch.randn(4, 3, generator=seeded(seed + 1))
    expected = distributions.kl_divergence(as_distribution(q), distributions.Normal(mean, torch.ones(4, 3))).sum(1)
    torch.testing.assert_close(kl_to_unit_normal(q, mean), expected)
    assert (kl_to_unit_normal(q, mean) >= 0).all()


def test_kl_is_the_mean_log_ratio_of_samples() -> None:
    q, mean = some_normal(), torch.randn(4, 3, generator=seeded(1))
    samples = q.sample(torch.randn(200_000, 4, 3, generator=seeded(2)))
    ratio = as_distribution(q).log_prob(samples) - distributions.Normal(mean, 1.0).log_prob(samples)
    torch.testing.assert_close(kl_to_unit_normal(q, mean), ratio.sum(2).mean(0), rtol=0.02, atol=0.02)


def test_a_posterior_that_is_the_prior_costs_nothing() -> None:
    mean = torch.randn(4, 3, generator=seeded())
    torch.testing.assert_close(kl_to_unit_normal(Normal(mean, torch.zeros(4, 3)), mean), torch.zeros(4))


def test_w2_to_zero_is_the_second_moment() -> None:
    q = some_normal()
    samples = q.sample(torch.randn(200_000, 4, 3, generator=seeded(2)))
    torch.testing.assert_close(squared_wasserstein_to_zero(q), samples.square().sum(2).mean(0), rtol=0.02, atol=0)
    torch.testing.assert_close(squared_wasserstein_to_zero(q), (q.mean**2 + q.log_variance.exp()).sum(1))


def test_w2_to_zero_is_the_limit_of_w2_between_normals() -> None:
    """Between two normals of one dimension W2^2 = (m1 - m2)^2 + (s1 - s2)^2; the point mass is s2 = 0."""
    q = some_normal(B=1, Z=1, seed=5)
    m, s = q.mean.item(), math.exp(0.5 * q.log_variance.item())
    assert squared_wasserstein_to_zero(q).item() == pytest.approx((m - 0) ** 2 + (s - 0) ** 2, rel=1e-5)


def test_w2_in_one_dimension_couples_quantiles() -> None:
    q = some_normal(B=1, Z=1, seed=3)
    m, s = q.mean.item(), math.exp(0.5 * q.log_variance.item())
    quantiles = norm.ppf((np.arange(100_000) + 0.5) / 100_000, loc=m, scale=s)
    w2 = squared_wasserstein_to_zero(q).item()
    assert w2 == pytest.approx(np.mean((quantiles - 0.0) ** 2), rel=1e-3)
    # W1 is never above W2.
    assert wasserstein_distance(quantiles, [0.0]) <= math.sqrt(w2) + 1e-3


@pytest.mark.parametrize("name", ["cvae", "mcvae"])
def test_a_control_pays_no_salient_kl(model: Make, batch: Batch, name: str) -> None:
    terms = objective(model(name), batch, generator=seeded())
    control = batch.perturbation == 0
    assert (terms.salient[control] == 0).all()
    assert (terms.salient[~control] > 0).all()


@pytest.mark.parametrize("name", ["cvae", "mcvae"])
def test_a_perturbed_cell_pays_no_wasserstein(model: Make, batch: Batch, name: str) -> None:
    terms = objective(model(name), batch, generator=seeded())
    control = batch.perturbation == 0
    assert (terms.leak[~control] == 0).all()
    assert (terms.leak[control] > 0).all()


def test_every_cell_pays_background_kl(model: Make, batch: Batch) -> None:
    assert (objective(model(), batch, generator=seeded()).background > 0).all()


def test_the_terms_are_those_of_a_loop_over_cells(model: Make, batch: Batch) -> None:
    net = model("mcvae", likelihood_scale="learned").eval()
    q = net.encode(batch.images)
    assert q.salient is not None
    g = seeded(4)
    noise_z, noise_s = torch.randn(12, 3, generator=g), torch.randn(12, 2, generator=g)
    terms = objective(net, batch, generator=seeded(4))
    for i, m in enumerate(batch.perturbation.tolist()):
        z = q.background.mean[i] + (0.5 * q.background.log_variance[i]).exp() * noise_z[i]
        s = q.salient.mean[i] + (0.5 * q.salient.log_variance[i]).exp() * noise_s[i]
        mu_z = torch.zeros(3) if m == 0 else net.priors["background"].means[m - 1]
        decoded = net.decoder(torch.cat([z, torch.zeros(2) if m == 0 else s])[None])[0]
        likelihood = distributions.Normal(decoded, net.likelihood.log_sigma.exp()).log_prob(batch.images[i]).sum()
        torch.testing.assert_close(terms.reconstruction[i], -likelihood, rtol=1e-4, atol=1e-2)
        prior = distributions.Normal(mu_z, torch.ones(3))
        posterior = distributions.Normal(q.background.mean[i], (0.5 * q.background.log_variance[i]).exp())
        torch.testing.assert_close(terms.background[i], distributions.kl_divergence(posterior, prior).sum())


def test_the_salient_encoder_changes_nothing_in_a_controls_reconstruction(model: Make, batch: Batch) -> None:
    net, control = model().eval(), batch.perturbation == 0
    before = objective(net, batch, generator=seeded())
    decoded = net.reconstruct(batch.images, control=control)
    with torch.no_grad():
        net.encoders["salient"].head.weight.mul_(-3)
        net.encoders["salient"].head.bias.add_(1)
    after = objective(net, batch, generator=seeded())
    decoded_after = net.reconstruct(batch.images, control=control)
    assert torch.equal(before.reconstruction[control], after.reconstruction[control])
    assert torch.equal(decoded[control], decoded_after[control])
    assert (before.reconstruction[~control] != after.reconstruction[~control]).all()
    assert not torch.equal(decoded[~control], decoded_after[~control])


def test_a_controls_reconstruction_sends_no_gradient_to_the_salient_encoder(model: Make, batch: Batch) -> None:
    net = model()
    controls = Batch(batch.images[::2], batch.perturbation[::2], batch.rows[::2])
    objective(net, controls, generator=seeded()).reconstruction.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in net.encoders["salient"].parameters())
    assert any(p.grad is not None and p.grad.any() for p in net.encoders["background"].parameters())


def test_mcvae_with_means_at_zero_is_cvae(model: Make, batch: Batch) -> None:
    cvae, mcvae = model("cvae"), model("mcvae")
    with torch.no_grad():
        for prior in mcvae.priors.values():
            prior.means.zero_()
    mcvae.encoders.load_state_dict(cvae.encoders.state_dict())
    mcvae.decoder.load_state_dict(cvae.decoder.state_dict())
    assert_same(objective(cvae, batch, generator=seeded()), objective(mcvae, batch, generator=seeded()))


def test_a_vae_sees_controls_and_perturbed_cells_alike(model: Make, batch: Batch) -> None:
    net = model("vae").eval()
    terms = objective(net, batch, generator=seeded())
    relabelled = objective(net, batch._replace(perturbation=batch.perturbation.flip(0)), generator=seeded())
    assert_same(terms, relabelled)
    assert not terms.salient.any()
    assert not terms.leak.any()


def test_beta_weighs_the_latent_terms_and_lambda_the_leak_alone(model: Make, batch: Batch) -> None:
    t = objective(model(), batch, generator=seeded())
    torch.testing.assert_close(t.total(beta=0.0, wasserstein_weight=8.0), t.reconstruction, rtol=0, atol=0)
    torch.testing.assert_close(
        t.total(beta=0.3, wasserstein_weight=8.0), t.reconstruction + 0.3 * (t.background + t.salient + 8.0 * t.leak)
    )
    without = t.total(beta=1.0, wasserstein_weight=0.0)
    torch.testing.assert_close(without, t.reconstruction + t.background + t.salient)
    perturbed = batch.perturbation > 0
    assert torch.equal(t.total(beta=1.0, wasserstein_weight=9.0)[perturbed], without[perturbed])


def test_equal_generators_give_equal_terms_and_others_do_not(model: Make, batch: Batch) -> None:
    net = model().eval()
    assert_same(objective(net, batch, generator=seeded()), objective(net, batch, generator=seeded()))
    other = objective(net, batch, generator=seeded(1))
    assert (other.reconstruction != objective(net, batch, generator=seeded()).reconstruction).all()


class Linear(nn.Module):
    """Latent to 1 x 2 x 2 pixels by a fixed matrix: p(x) is then a normal in closed form."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, latent: Tensor) -> Tensor:
        return (latent @ self.weight.T).reshape(len(latent), 1, 2, 2)


def linear_toy() -> tuple[ContrastiveVAE, Batch]:
    """Two background and one salient dimension over four pixels, with posteriors that are somewhat off."""
    g = seeded(11)
    encoders: dict[str, nn.Module] = {
        name: nn.Sequential(nn.Flatten(), nn.Linear(4, 2 * size)) for name, size in (("background", 2), ("salient", 1))
    }
    priors: dict[str, nn.Module] = {"background": PerturbationPrior(2, 2), "salient": StandardPrior(2, 1)}
    sizes = {"background": 2, "salient": 1}
    decoder, likelihood = Linear(torch.randn(4, 3, generator=g)), LearnedScale(1)
    toy = ContrastiveVAE(encoders=encoders, decoder=decoder, priors=priors, likelihood=likelihood, sizes=sizes)
    with torch.no_grad():
        for p in toy.encoders.parameters():
            p.normal_(std=0.3, generator=g)
        toy.priors["background"].means.normal_(generator=g)
        toy.likelihood.log_sigma.fill_(-0.2)
    images = torch.randn(6, 1, 2, 2, generator=g)
    return toy.eval(), Batch(images, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))


def log_evidence(toy: ContrastiveVAE, batch: Batch) -> Tensor:
    """log p(x | m) of the linear toy: normal with mean W mu and covariance W W' + sigma^2 I; s = 0 for controls."""
    weight, variance = toy.decoder.weight, (2 * toy.likelihood.log_sigma).exp()
    means = toy.priors["background"](batch.perturbation)
    values = []
    for x, m, mean in zip(batch.images.flatten(1), batch.perturbation.tolist(), means, strict=True):
        W = weight if m else weight[:, :2]
        covariance = W @ W.T + variance * torch.eye(4)
        values.append(distributions.MultivariateNormal(weight[:, :2] @ mean, covariance).log_prob(x))
    return torch.stack(values)


@torch.no_grad()
def test_the_elbo_is_below_an_importance_weighted_bound_and_that_below_the_evidence() -> None:
    toy, batch = linear_toy()
    g, draws = seeded(0), 4000
    repeated = [objective(toy, batch, generator=g).total(beta=1.0, wasserstein_weight=0.0) for _ in range(draws)]
    elbo = -torch.stack(repeated).mean(0)
    q, control = toy.encode(batch.images), batch.perturbation == 0
    assert q.salient is not None
    logs = []
    for _ in range(draws):
        z = q.background.sample(torch.randn(6, 2, generator=g))
        s = q.salient.sample(torch.randn(6, 1, generator=g))
        log = -toy.likelihood(batch.images, toy.decode(z, torch.where(control[:, None], 0.0, s)))
        log += distributions.Normal(toy.priors["background"](batch.perturbation), 1.0).log_prob(z).sum(1)
        log -= as_distribution(q.background).log_prob(z).sum(1)
        salient = distributions.Normal(0.0, 1.0).log_prob(s).sum(1) - as_distribution(q.salient).log_prob(s).sum(1)
        logs.append(log + torch.where(control, 0.0, salient))
    importance = torch.logsumexp(torch.stack(logs), dim=0) - math.log(draws)
    evidence = log_evidence(toy, batch)
    assert (elbo < importance).all(), (elbo, importance)
    torch.testing.assert_close(importance, evidence, rtol=0.05, atol=0.1)


@torch.no_grad()
def test_the_exact_posterior_closes_the_gap_to_the_evidence() -> None:
    """A decoder of one orthogonal column a dimension has a diagonal posterior: the bound is then tight."""
    toy, batch = linear_toy()
    toy.decoder.weight.copy_(torch.eye(4)[:, :3] * torch.tensor([0.5, 1.0, 2.0]))
    noise, mean = (2 * toy.likelihood.log_sigma).exp(), toy.priors["background"](batch.perturbation)
    w, x = torch.tensor([0.5, 1.0, 2.0]), batch.images.flatten(1)[:, :3]
    variance = 1 / (1 + w.square() / noise)
    centre = torch.cat([mean, torch.zeros(6, 1)], dim=1)
    posterior = variance * (centre + w * x / noise)
    outputs = {
        "background": torch.cat([posterior[:, :2], variance[:2].log().expand(6, 2)], dim=1),
        "salient": torch.cat([posterior[:, 2:], variance[2:].log().expand(6, 1)], dim=1),
    }
    for name, output in outputs.items():
        toy.encoders[name] = Constant(output)
    g = seeded(1)
    elbo = -torch.stack(
        [objective(toy, batch, generator=g).total(beta=1.0, wasserstein_weight=0.0) for _ in range(4000)]
    ).mean(0)
    torch.testing.assert_close(elbo, log_evidence(toy, batch), rtol=0, atol=0.1)


def test_prior_means_come_to_those_that_were_planted() -> None:
    """A linear decoder; three perturbations that move s each its own way, and one that moves z."""
    g, per = seeded(2), 300
    m = torch.arange(5).repeat_interleave(per)
    planted_s = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [-2.0, 2.0], [0.0, 0.0]])
    planted_z = torch.tensor([[0.0], [0.0], [0.0], [0.0], [3.0]])
    z = planted_z[m] + torch.randn(len(m), 1, generator=g)
    s = torch.where((m > 0)[:, None], planted_s[m] + torch.randn(len(m), 2, generator=g), 0.0)
    orthogonal = torch.linalg.qr(torch.randn(4, 4, generator=g)).Q[:, :3] * 2
    images = torch.cat([z, s], dim=1) @ orthogonal.T + 0.1 * torch.randn(len(m), 4, generator=g)
    data = Batch(images.reshape(-1, 1, 2, 2), m, torch.arange(len(m)))
    toy = ContrastiveVAE(
        encoders={n: nn.Sequential(nn.Flatten(), nn.Linear(4, 2 * d)) for n, d in (("background", 1), ("salient", 2))},
        decoder=Linear(orthogonal.clone()),
        priors={"background": PerturbationPrior(4, 1), "salient": PerturbationPrior(4, 2)},
        likelihood=LearnedScale(1),
        sizes={"background": 1, "salient": 2},
    )
    with torch.no_grad():
        for p in toy.encoders.parameters():
            p.normal_(std=0.1, generator=g)
        toy.likelihood.log_sigma.fill_(math.log(0.1))
    toy.decoder.requires_grad_(False)
    optimizer = torch.optim.Adam(toy.parameters(), lr=0.02)
    for _ in range(1500):
        optimizer.zero_grad()
        objective(toy, data, generator=g).total(beta=1.0, wasserstein_weight=1.0).mean().backward()
        optimizer.step()
    means = {name: prior(torch.arange(5)).detach() for name, prior in toy.priors.items()}
    torch.testing.assert_close(means["salient"], planted_s, rtol=0, atol=0.3)
    torch.testing.assert_close(means["background"], planted_z, rtol=0, atol=0.3)


class Constant(nn.Module):
    """An encoder that says the same whatever it sees."""

    def __init__(self, output: Tensor):
        super().__init__()
        self.output = output

    def forward(self, _: Tensor) -> Tensor:
        return self.output


def test_dependence_is_that_of_the_means_of_perturbed_cells(model: Make, batch: Batch) -> None:
    net = model("mcvae").eval()
    q = net.encode(batch.images)
    assert q.salient is not None
    perturbed = batch.perturbation > 0
    expected = dependence(q.background.mean[perturbed], q.salient.mean[perturbed])
    terms = objective(net, batch, generator=seeded(), independence=[BACKGROUND_SALIENT])
    torch.testing.assert_close(terms.dependence, {BACKGROUND_SALIENT: expected})
    plain = objective(net, batch, generator=seeded())
    assert plain.dependence == {}
    difference = terms.total(beta=0.5, wasserstein_weight=8.0, independence={BACKGROUND_SALIENT: 10.0}) - plain.total(
        beta=0.5, wasserstein_weight=8.0
    )
    torch.testing.assert_close(difference, (10.0 * expected).expand(12), rtol=1e-3, atol=1e-3)


def test_what_s_says_of_how_cells_were_imaged_is_asked_of_perturbed_cells_alone(model: Make, batch: Batch) -> None:
    net = model("mcvae").eval()
    told = batch._replace(technical=torch.arange(12)[:, None] // 2 % 2)
    q = net.encode(batch.images)
    assert q.salient is not None
    found = objective(net, told, independence=[SALIENT_TECHNICAL]).dependence[SALIENT_TECHNICAL]
    perturbed = batch.perturbation > 0
    torch.testing.assert_close(found, dependence(q.salient.mean[perturbed], told.technical[perturbed]))
    other = told._replace(technical=torch.where(perturbed[:, None], told.technical, 1))
    assert torch.equal(found, objective(net, other, independence=[SALIENT_TECHNICAL]).dependence[SALIENT_TECHNICAL])


def test_what_t_says_of_the_perturbation_is_asked_of_all_cells(model: Make, imaged: Batch) -> None:
    net = model("three-space").eval()
    q = net.encode(imaged.images)
    assert q.technical is not None
    found = objective(net, imaged, independence=[TECHNICAL_PERTURBATION]).dependence[TECHNICAL_PERTURBATION]
    torch.testing.assert_close(found, dependence(q.technical.mean, imaged.perturbation[:, None]))


@pytest.mark.parametrize("name", [BACKGROUND_SALIENT, SALIENT_TECHNICAL])
def test_three_perturbed_cells_say_nothing_of_dependence(model: Make, imaged: Batch, name: str) -> None:
    few = Batch(*(value[:6] for value in imaged))
    assert objective(model("mcvae"), few, independence=[name]).dependence[name] == 0


def test_with_a_critic_dependence_is_total_correlation_of_the_samples(model: Make, batch: Batch) -> None:
    net = model("mcvae", independence="total-correlation", independence_weight=1.0).eval()
    q = net.encode(batch.images)
    assert q.salient is not None
    assert net.critic is not None
    g = seeded(4)
    z, s = (normal.sample(torch.randn(12, size, generator=g)) for normal, size in ((q.background, 3), (q.salient, 2)))
    perturbed = batch.perturbation > 0
    found = objective(net, batch, generator=seeded(4), independence=[BACKGROUND_SALIENT])
    expected = net.critic(z[perturbed], s[perturbed]).mean()
    torch.testing.assert_close(found.dependence[BACKGROUND_SALIENT], expected)


def test_the_technical_space_costs_its_kl_to_the_prior_of_how_a_cell_was_imaged(model: Make, imaged: Batch) -> None:
    net = model("three-space")
    q = net.encode(imaged.images)
    assert q.technical is not None
    assert imaged.technical is not None
    batch_means, place_means = net.priors["technical"].means
    mean = batch_means[imaged.technical[:, 0]] + place_means[imaged.technical[:, 1]]
    expected = distributions.kl_divergence(as_distribution(q.technical), distributions.Normal(mean, 1.0)).sum(1)
    terms = objective(net, imaged, generator=seeded())
    torch.testing.assert_close(terms.technical, expected)
    kl = terms.background + terms.salient + terms.technical
    torch.testing.assert_close(terms.total(beta=1.0, wasserstein_weight=0.0), terms.reconstruction + kl)


def test_three_spaces_whose_decoder_ignores_t_are_mcvae_and_a_kl(model: Make, imaged: Batch) -> None:
    mcvae, three = model("mcvae"), model("three-space")
    for space in ("background", "salient"):
        three.encoders[space].load_state_dict(mcvae.encoders[space].state_dict())
        three.priors[space].load_state_dict(mcvae.priors[space].state_dict())
    three.decoder.layers.load_state_dict(mcvae.decoder.layers.state_dict())
    with torch.no_grad():
        three.decoder.head.weight.copy_(torch.nn.functional.pad(mcvae.decoder.head.weight, (0, 4)))
        three.decoder.head.bias.copy_(mcvae.decoder.head.bias)
    one, other = objective(mcvae, imaged, generator=seeded()), objective(three, imaged, generator=seeded())
    assert_same(one, other._replace(technical=one.technical))
    assert (other.technical > 0).all()


def test_a_decoder_that_is_told_gives_other_images_for_other_batches(model: Make, imaged: Batch) -> None:
    net = model("mcvae", decoder_knows="technical").eval()
    assert imaged.technical is not None
    moved = imaged._replace(technical=(imaged.technical + 1) % 2)
    one, other = objective(net, imaged, generator=seeded()), objective(net, moved, generator=seeded())
    assert (one.reconstruction != other.reconstruction).all()
    assert torch.equal(one.background, other.background)
