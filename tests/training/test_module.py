"""A step of training and one of validation, seen through Lightning's own loop."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from contrascope.config import TrainingSettings, training_settings
from contrascope.errors import RunError
from contrascope.models.objective import BACKGROUND_SALIENT, Terms, objective
from contrascope.models.variants import build_model
from contrascope.sampling.transforms import paper_transform
from contrascope.store.store import CropStore
from contrascope.training.module import VALIDATION_LOSS, TrainingModule
from contrascope.training.run import Run
from contrascope.training.schedules import learning_rate_at
from contrascope.vocabulary import Batch

Train = Callable[..., Run]


def settings(**changes: Any) -> TrainingSettings:
    small: dict[str, Any] = {"image_size": 16, "background_size": 3, "salient_size": 2, "precision": "fp32"}
    return training_settings(1000, **(small | {"normalization": "paper", "beta_warmup_steps": 100} | changes))


def module(*, name: str = "mcvae", **changes: Any) -> TrainingModule:
    s = settings(**changes)
    return TrainingModule(build_model(name, s, channels=2, perturbations=2), paper_transform(16, 2), s, steps=50)


def cells(seed: int = 0, labels: tuple[int, ...] = (1, 2, 0, 0)) -> Batch:
    images = np.random.default_rng(seed).integers(100, 3000, (len(labels), 2, 16, 16)).astype(np.float32)
    return Batch(torch.from_numpy(images), torch.tensor(labels), torch.arange(len(labels)))


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with torch.random.fork_rng(devices=[]):
        yield
    logger.setLevel(level)


def through_lightning(
    m: TrainingModule, training: list[Batch], held_out: list[Batch], *, every: int, logged_every: int = 1
) -> L.Trainer:
    """One epoch, validating after every so many steps."""
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders without workers
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            devices=1,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
            val_check_interval=every,
            log_every_n_steps=logged_every,
            **options,
        )
        trainer.fit(m, DataLoader(training, batch_size=None), DataLoader(held_out, batch_size=None))
    return trainer


def weights_after(m: TrainingModule, *, every: int, held_out: int = 2) -> dict[str, Tensor]:
    through_lightning(m, [cells(i) for i in range(8)], [cells(100 + i) for i in range(held_out)], every=every)
    return m.model.state_dict()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("scale", ["closed-form", "learned"])
def test_extra_validations_leave_the_very_same_weights(scale: str) -> None:
    rarely = weights_after(module(likelihood_scale=scale), every=8)
    often = weights_after(module(likelihood_scale=scale), every=1, held_out=5)
    assert same(rarely, often)


def test_noise_of_training_comes_from_the_settings_seed() -> None:
    torch.manual_seed(1)
    one = weights_after(module(), every=8)
    torch.manual_seed(2)
    assert same(one, weights_after(module(), every=8))
    start = module(seed=5)
    start.model.load_state_dict(module().model.state_dict())
    assert not same(one, weights_after(start, every=8))


def test_the_same_holds_for_a_whole_run(store: CropStore, train: Train, tmp_path: Path) -> None:
    rarely, often = (train(store, tmp_path / str(n), validations_per_epoch=n, patience=1000) for n in (1, 5))
    rows = [run.metrics().filter(pl.col("name") == "train/loss")["value"].to_list() for run in (rarely, often)]
    assert rows[0] == rows[1]


def test_a_validation_gives_the_same_loss_whenever_it_is_asked() -> None:
    m = module(learning_rate=1e-30)
    losses: list[float] = []
    m.on_validation_end = lambda: losses.append(float(m.trainer.callback_metrics[VALIDATION_LOSS]))
    m.model.likelihood.memory = 1.0  # the scale is held too
    m.model.likelihood.steps.fill_(10**9)
    through_lightning(m, [cells(i) for i in range(6)], [cells(100)], every=1)
    assert len(losses) == 6
    assert len(set(losses)) == 1


Seen = dict[str, list[Tensor]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Images that models were shown in training and in validation."""
    shown: Seen = {"training": [], "validation": []}

    def watched(model: Any, batch: Batch, **changes: Any) -> Any:
        shown["training" if model.training else "validation"].append(batch.images)
        return objective(model, batch, **changes)

    monkeypatch.setattr("contrascope.training.module.objective", watched)
    return shown


def test_cells_are_turned_to_train_on_and_never_to_validate_on(seen: Seen) -> None:
    m = module(augment=True)
    through_lightning(m, [cells()], [cells()], every=1)
    (trained,), (validated,), plain = *seen.values(), m.transform.batch(cells()).images
    assert torch.equal(validated, plain)
    assert not torch.equal(trained, plain)
    assert torch.equal(trained.flatten(2).sort().values, plain.flatten(2).sort().values)


def test_channels_are_made_brighter_or_dimmer_to_train_on_and_never_to_validate_on(seen: Seen) -> None:
    m = module(augment=False, views=1, gain_spread=0.2)
    through_lightning(m, [cells(i) for i in range(50)], [cells()], every=50)
    plain = torch.cat([m.transform.batch(cells(i)).images for i in range(50)])
    assert torch.equal(seen["validation"][0], plain[:4])
    # With paper's transform, v = (arcsinh(pixel) - 7) / 7, so that light is sinh(7 v + 7).
    gain = (torch.sinh(7 * torch.cat(seen["training"]) + 7) / torch.sinh(7 * plain + 7)).flatten(2)
    torch.testing.assert_close(gain.std(2), torch.zeros(200, 2), rtol=0, atol=0.01)
    assert gain.mean(2).log().std().item() == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize("warmup", [0, 100, 10_000])
@pytest.mark.parametrize("beta", [1.0, 16.0])
def test_validation_is_with_all_of_beta_whatever_the_step(warmup: int, beta: float) -> None:
    m, batch = module(beta_warmup_steps=warmup, beta=beta), cells(100)
    trainer = through_lightning(m, [cells(i) for i in range(3)], [batch], every=3)
    m.eval()
    terms = objective(m.model, m.transform.batch(batch), generator=torch.Generator().manual_seed(1))
    expected = terms.total(beta=beta, wasserstein_weight=m.settings.wasserstein_weight).mean().item()
    assert float(trainer.callback_metrics[VALIDATION_LOSS]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("beta", [1.0, 16.0])
def test_beta_of_training_follows_the_step_and_not_the_validations(beta: float) -> None:
    logged: list[float] = []
    m = module(beta_warmup_steps=4, beta=beta)
    m.on_train_batch_end = lambda *_: logged.append(float(m.trainer.callback_metrics["beta"]))
    through_lightning(m, [cells(i) for i in range(6)], [cells(100)], every=1)
    assert logged == [beta * share for share in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0)]


def test_with_more_beta_spaces_hold_fewer_nats() -> None:
    def nats(beta: float) -> float:
        m = module(beta=beta, beta_warmup_steps=0, learning_rate=0.01, learning_rate_decay=False)
        trainer = through_lightning(m, [cells(i % 4) for i in range(50)], [cells(0)], every=50)
        return float(trainer.callback_metrics["validation/KL background"])

    assert nats(16.0) < nats(4.0) < nats(1.0)


@pytest.mark.parametrize("decay", [True, False])
def test_the_learning_rate_of_each_step_is_that_of_the_schedule(decay: bool) -> None:
    used: list[float] = []
    m = module(learning_rate=0.01, learning_rate_decay=decay)
    m.on_train_batch_start = lambda *_: used.append(m.trainer.optimizers[0].param_groups[0]["lr"])
    through_lightning(m, [cells(i) for i in range(6)], [cells(100)], every=6)
    np.testing.assert_allclose(used, [0.01 * learning_rate_at(step, steps=50, decay=decay) for step in range(6)])
    assert (len(set(used)) > 1) == decay


def test_in_a_short_training_beta_takes_half_of_the_steps_and_not_all() -> None:
    m = module(beta=1.0, beta_warmup_steps=1_000)  # of 50 steps
    logged: list[float] = []
    m.on_train_batch_end = lambda *_: logged.append(float(m.trainer.callback_metrics["beta"]))
    through_lightning(m, [cells(i) for i in range(4)], [cells(100)], every=1)
    np.testing.assert_allclose(logged, [0, 1 / 25, 2 / 25, 3 / 25], rtol=1e-6)


def test_what_is_logged_is_of_the_steps_that_are_written_down() -> None:
    seen: list[tuple[int, float]] = []
    m = module(beta=1.0, beta_warmup_steps=8)
    m.log_every = 3
    m.on_train_batch_end = lambda *_: seen.append((m.global_step, float(m.trainer.callback_metrics.get("beta", -1))))
    through_lightning(m, [cells(i) for i in range(7)], [cells(100)], every=7, logged_every=3)
    assert [beta for _, beta in seen] == [-1, -1, 0.25, 0.25, 0.25, 0.625, 0.625]


def test_a_term_is_averaged_over_the_cells_it_is_about() -> None:
    """Held-out cells come in the store's order, so a batch may hold one control among many cells, or none."""
    m = module()
    held_out = [cells(100, (0, 1, 2, 1, 2, 1)), cells(101, (1, 2, 1, 2)), cells(102, (0, 0, 0, 0, 0))]
    trainer = through_lightning(m, [cells()], held_out, every=1)
    m.eval()
    noise = torch.Generator().manual_seed(1)
    terms = [objective(m.model, m.transform.batch(b), generator=noise) for b in held_out]
    labels = torch.cat([b.perturbation for b in held_out])
    leak, salient, z = (torch.cat([getattr(t, n) for t in terms]) for n in ("leak", "salient", "background"))
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged["validation/leak of controls"] == pytest.approx(leak[labels == 0].mean().item(), rel=1e-4)
    assert logged["validation/KL salient"] == pytest.approx(salient[labels > 0].mean().item(), rel=1e-4)
    assert logged["validation/KL background"] == pytest.approx(z.mean().item(), rel=1e-4)


def test_a_vae_logs_no_salient_terms() -> None:
    trainer = through_lightning(module(name="vae"), [cells()], [cells(1)], every=1)
    assert not [name for name in trainer.callback_metrics if "salient" in name or "leak" in name]


def test_a_weight_on_dependence_is_felt_and_logged() -> None:
    batches = [cells(i, (1, 2, 1, 2, 0, 0, 0, 0)) for i in range(6)]
    logged, weights = {}, {}
    for weight in (0.0, 1e4):
        m = module(independence_weight=weight, beta_warmup_steps=0)
        logged[weight] = through_lightning(m, batches, batches[:1], every=6).callback_metrics
        weights[weight] = m.model.encoders["background"].head.weight
    assert "validation/dependence background-salient" in logged[1e4]
    assert not [name for name in logged[0.0] if "dependence" in name]
    assert not torch.equal(weights[0.0], weights[1e4])


@pytest.mark.parametrize("beta", [1.0, 16.0])
def test_the_weight_on_dependence_rises_with_beta_to_what_was_asked_whatever_beta_is(beta: float) -> None:
    with_it, without = (module(beta=beta, beta_warmup_steps=4, independence_weight=weight) for weight in (100.0, 0.0))
    with_it.independence_weights = {BACKGROUND_SALIENT: 100.0}
    ones = torch.ones(8)
    terms = Terms(ones, ones, ones, ones, ones, {BACKGROUND_SALIENT: torch.tensor(0.5)})
    for share in (0.0, 0.25, 1.0):
        added = with_it._loss(terms, beta=share * beta) - without._loss(terms, beta=share * beta)
        assert added.item() == pytest.approx(share * 50.0)


def test_a_loss_that_is_not_a_number_is_an_error_that_says_what_to_do() -> None:
    m = module()
    with torch.no_grad():
        m.model.decoder.head.bias.fill_(float("nan"))
    with pytest.raises(RunError, match=r"diverged: the loss is nan at step 0. .*: reconstruction. Lower .*learning_ra"):
        through_lightning(m, [cells()], [cells(1)], every=1)


def test_a_weight_that_float32_cannot_hold_is_named_in_place_of_the_learning_rate() -> None:
    m = module(wasserstein_weight=1e300)
    with pytest.raises(RunError, match=r"diverged: .*Its terms are numbers, .*wasserstein_weight 1e\+300"):
        through_lightning(m, [cells()], [cells(1)], every=1)


def largest_gradient(m: TrainingModule) -> float:
    return max((p.grad.abs().max().item() for p in m.parameters() if p.grad is not None), default=0.0)


def test_gradients_are_clipped_by_entry() -> None:
    m, seen = module(gradient_clip=1e-3), []
    m.on_before_zero_grad = lambda _: seen.extend(
        p.grad.abs().max().item() for p in m.parameters() if p.grad is not None
    )
    through_lightning(m, [cells(i) for i in range(3)], [cells(9)], every=3)
    assert max(seen) == pytest.approx(1e-3)


def test_without_a_clip_they_are_left_as_they_are() -> None:
    m, seen = module(gradient_clip=None), []
    m.on_before_zero_grad = lambda _: seen.extend(
        p.grad.abs().max().item() for p in m.parameters() if p.grad is not None
    )
    through_lightning(m, [cells(i) for i in range(3)], [cells(9)], every=3)
    assert max(seen) > 0.5


def test_the_authors_scale_doubles_the_gradient_and_not_what_is_logged() -> None:
    seen: dict[float, Tensor] = {}
    logged = {}
    for scale in (1.0, 2.0):
        m = module(loss_scale=scale, gradient_clip=None, beta_warmup_steps=0)
        m.configure_gradient_clipping = lambda *_, m=m, scale=scale, **__: seen.__setitem__(
            scale, m.model.decoder.head.weight.grad.clone()
        )
        trainer = through_lightning(m, [cells()], [cells(1)], every=1)
        logged[scale] = float(trainer.callback_metrics["train/loss"])
    torch.testing.assert_close(2 * seen[1.0], seen[2.0])
    assert logged[1.0] == logged[2.0]
