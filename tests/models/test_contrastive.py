"""The network: what goes into it, what comes out, and what stays apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from contrascope.models.contrastive import ContrastiveVAE, Normal
from contrascope.vocabulary import Batch

Make = Callable[..., ContrastiveVAE]


def test_a_sample_has_the_mean_and_variance_it_says() -> None:
    q = Normal(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 2.0]]))
    samples = q.sample(torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(samples.mean(0), q.mean[0], rtol=0, atol=0.05)
    torch.testing.assert_close(samples.var(0), q.log_variance[0].exp(), rtol=0.02, atol=0)


def test_without_noise_a_sample_is_the_mean() -> None:
    q = Normal(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 2.0]]))
    assert torch.equal(q.sample(torch.zeros(1, 2)), q.mean)


def test_the_log_variance_stops_at_minus_twenty(model: Make, batch: Batch) -> None:
    net = model()
    with torch.no_grad():
        net.encoders["background"].head.bias.fill_(-100.0)
    q = net.encode(batch.images).background
    assert (q.log_variance == -20).all()
    assert (q.mean < -90).all()


def test_spaces_have_the_sizes_they_were_given(model: Make, batch: Batch) -> None:
    q = model().encode(batch.images)
    assert q.salient is not None
    assert q.background.mean.shape == (12, 3)
    assert q.salient.log_variance.shape == (12, 2)


def test_one_encoder_says_the_means_of_all_spaces_and_then_their_log_variances(model: Make, batch: Batch) -> None:
    net = model("three-space", encoders="shared")
    (encoder,) = net.encoders.values()
    output, q = encoder(batch.images), net.encode(batch.images)
    assert q.salient is not None
    assert q.technical is not None
    normals = (q.background, q.salient, q.technical)
    said = torch.cat([n.mean for n in normals] + [n.log_variance for n in normals], dim=1)
    assert torch.equal(said, output)
    assert [n.mean.shape[1] for n in normals] == list(net.sizes.values())


def test_the_log_variance_of_a_shared_encoder_stops_at_minus_twenty_too(model: Make, batch: Batch) -> None:
    net = model(encoders="shared")
    with torch.no_grad():
        net.encoders["shared"].head.bias.fill_(-100.0)
    q = net.encode(batch.images)
    assert q.salient is not None
    assert (q.salient.log_variance == -20).all()
    assert (q.salient.mean < -90).all()


def test_a_vae_has_no_salient_space(model: Make, batch: Batch) -> None:
    net = model("vae")
    assert not net.has_salient
    assert net.encode(batch.images).salient is None
    assert net.encode(batch.images).background.mean.shape == (12, 5)


def test_reconstructions_are_decoded_from_the_means(model: Make, batch: Batch) -> None:
    net = model().eval()
    q = net.encode(batch.images)
    assert q.salient is not None
    nobody = torch.zeros(12, dtype=torch.bool)
    expected = net.decode(q.background.mean, q.salient.mean)
    assert torch.equal(net.reconstruct(batch.images, control=nobody), expected)


def test_a_controls_reconstruction_lacks_the_salient_part(model: Make, batch: Batch) -> None:
    net = model().eval()
    q = net.encode(batch.images)
    everybody = torch.ones(12, dtype=torch.bool)
    expected = net.decode(q.background.mean, torch.zeros(12, 2))
    assert torch.equal(net.reconstruct(batch.images, control=everybody), expected)


@pytest.mark.parametrize("name", ["vae", "mcvae"])
def test_a_reconstruction_stays_within_the_range_of_tanh(model: Make, batch: Batch, name: str) -> None:
    decoded = model(name).reconstruct(batch.images, control=batch.perturbation == 0)
    assert decoded.shape == batch.images.shape
    assert (decoded.abs() <= 1).all()


def test_posteriors_are_float32_under_autocast(model: Make, batch: Batch) -> None:
    net = model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = net.encode(batch.images)
        assert net.decode(q.background.mean, torch.zeros(12, 2)).dtype == torch.float32
    assert q.background.mean.dtype == q.background.log_variance.dtype == torch.float32


def test_a_cells_posterior_does_not_depend_on_its_batch(model: Make, batch: Batch) -> None:
    net = model().eval()
    together = net.encode(batch.images).background.mean
    alone = torch.cat([net.encode(x[None]).background.mean for x in batch.images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
