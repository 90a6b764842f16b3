"""The objective's terms, the optimizer, and runs that stop and go on."""

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import SMALL
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from vlae_codec import models
from vlae_codec.cli import main
from vlae_codec.errors import InputError, LimitError, UsageError
from vlae_codec.models.blocks import GatedBlock, Modulation, ResidualBlock
from vlae_codec.models.vlae import VLAE, Logistic, Normal, interval_bits, kl_bits
from vlae_codec.training import checkpoint, export, loop, starts
from vlae_codec.training.config import Objective, TrainConfig
from vlae_codec.training.data import Crops, load, with_half_chroma
from vlae_codec.training.diagnose import Measurement, diagnose, verdict
from vlae_codec.training.objective import charged_kl, evaluate, latent_bits
from vlae_codec.training.optimizer import MuonAdam, newton_schulz, newton_schulz_of_squares, orthogonalise
from vlae_codec.training.restore import restored

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard
CPU = torch.device("cpu")
QUICK = TrainConfig(steps=6, batch=2, crop=64, warmup_steps=2, log_steps=3)


@pytest.fixture
def pictures(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [photo[:200, :200], photo[200:, 100:300]]


def test_interval_bits_sum_to_a_probability_of_one() -> None:
    values = torch.arange(-60, 61).double()
    p = 2 ** -interval_bits(values, Logistic(torch.tensor(0.3).double(), torch.tensor(2.0).double()))
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)


def test_kl_of_equal_distributions_is_zero_and_of_others_the_mean_of_the_log_ratio() -> None:
    q, p = (Normal(torch.tensor(m).double(), torch.tensor(s).double()) for m, s in ((0.4, 0.5), (0.0, 1.5)))
    x = q.mean + q.std * torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    log_ratio = [torch.distributions.Normal(*d).log_prob(x) for d in (q, p)]
    assert float(kl_bits(q, q)) == 0
    assert float(kl_bits(q, p)) == pytest.approx(float((log_ratio[0] - log_ratio[1]).mean()) / math.log(2), rel=0.01)


def test_free_bits_charge_the_floor_below_it_and_the_kl_above() -> None:
    kl = torch.tensor([[0.1, 5.0], [0.3, 7.0]])
    assert charged_kl(kl, positions=4, free_bits=0.0).tolist() == pytest.approx([5.1, 7.3])
    assert charged_kl(kl, positions=4, free_bits=0.25).tolist() == [6.0, 8.0]


def test_kl_annealing_raises_the_weight_from_zero_to_beta() -> None:
    objective = Objective(beta=0.8, kl_annealing=100)
    assert [objective.kl_weight(step) for step in (0, 50, 100, 1000)] == pytest.approx([0, 0.4, 0.8, 0.8])
    assert Objective().kl_weight(0) == 1


@pytest.mark.parametrize(
    ("objective", "same"),
    [
        (Objective(), True),
        (Objective(beta=0.5), False),
        (Objective(kl_annealing=10), False),
        (Objective(free_bits=50.0), False),
    ],
)
def test_each_remedy_changes_the_loss_and_its_gradient_on_z(small_vlae: VLAE, objective: Objective, same: bool) -> None:
    def gradient(settings: Objective) -> torch.Tensor:
        torch.manual_seed(0)
        model = VLAE(SMALL)
        model.load_state_dict(small_vlae.state_dict())
        x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) - 0.5
        torch.manual_seed(1)
        evaluate(model, x, torch.tensor([0.2, 0.8]), settings, step=5).loss.backward()
        found = model.hyper_analysis.out.weight.grad
        assert found is not None
        return found

    assert torch.allclose(gradient(Objective()), gradient(objective)) == same


def test_the_last_group_and_the_synthesis_do_not_see_z(small_vlae: VLAE) -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) - 0.5
    rate = torch.tensor([0.5])
    y = small_vlae.analysis(x, rate)
    torch.manual_seed(0)
    one = latent_bits(small_vlae, y, rate, noise=False)[1]
    moved = VLAE(SMALL)
    moved.load_state_dict(small_vlae.state_dict())
    with torch.no_grad():
        moved.hyper_synthesis.out.weight.add_(0.3)
        two = latent_bits(moved, y, rate, noise=False)[1]
    assert not torch.equal(one.groups[0], two.groups[0])
    assert torch.equal(one.groups[3], two.groups[3])


@pytest.mark.parametrize("shape", [(3, 40, 100), (3, 100, 40), (2, 40, 400), (2, 400, 40)])
def test_orthogonalise_makes_all_singular_values_nearly_one(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(x).float())
    assert float(values.min()) > 0.6 and float(values.max()) < 1.3


def test_newton_schulz_on_the_squares_gives_the_same() -> None:
    x = torch.randn(2, 40, 100, generator=torch.Generator().manual_seed(0))
    x = x / x.norm(dim=(-2, -1), keepdim=True)
    assert torch.allclose(newton_schulz_of_squares(x, 5), newton_schulz(x, 5).float(), atol=0.02)


def test_every_parameter_belongs_to_muon_or_adam() -> None:
    model = VLAE(SMALL)
    optimizer = MuonAdam(model.named_parameters())
    in_adam = {id(p) for group in optimizer.adam.param_groups for p in group["params"]}
    in_muon = {id(p) for p in optimizer.matrices.values()}
    assert not in_adam & in_muon
    assert in_adam | in_muon == {id(p) for p in model.parameters()}
    assert sorted(n for names in optimizer.stacks for n in names) == sorted(optimizer.matrices)


def test_the_learning_rate_warms_up_stays_and_decays() -> None:
    config = TrainConfig(steps=100, warmup_steps=10, decay_steps=20, learning_rate=1.0, final_rate=0.02)
    assert config.rate_at(0) == pytest.approx(0.1)
    assert config.rate_at(9) == config.rate_at(80) == 1
    assert config.rate_at(90) == pytest.approx(0.51)
    assert config.rate_at(100) == pytest.approx(0.02)


def test_crops_come_from_the_pictures_and_half_are_mirrored() -> None:
    picture = np.arange(3 * 100 * 90, dtype=np.uint32).astype(np.uint8).reshape(100, 90, 3)
    torch.manual_seed(0)
    crops = Crops([picture, picture[:20]], 64)
    assert len(crops.pictures) == 1
    drawn = ((crops.draw(40) + 0.5) * 255).round().permute(0, 2, 3, 1).byte().numpy()
    places = {
        flip
        for crop in drawn
        for flip in (1, -1)
        for y in range(37)
        for x in range(27)
        if np.array_equal(crop[:, ::flip], picture[y : y + 64, x : x + 64])
    }
    assert places == {1, -1}


def test_half_of_the_chroma_is_left_and_all_of_the_luma() -> None:
    luma, chroma = np.tile(np.uint8([[60, 160], [160, 60]]), (32, 32)), np.tile(np.uint8([[110, 140]]), (64, 32))
    picture = np.asarray(Image.merge("YCbCr", [Image.fromarray(p) for p in (luma, chroma, chroma)]).convert("RGB"))
    y, cb, cr = np.moveaxis(np.asarray(Image.fromarray(with_half_chroma(picture)).convert("YCbCr")).astype(int), 2, 0)
    assert abs(y - luma).max() <= 2
    assert max(np.ptp(cb), np.ptp(cr)) <= 3  # the mean of both columns


@pytest.mark.parametrize(("share", "wanted"), [(0.0, range(60, 61)), (0.5, range(20, 41)), (1.0, range(1))])
def test_other_crops_keep_all_of_their_chroma(share: float, wanted: range) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    torch.manual_seed(0)
    drawn = ((Crops([picture], 64, share).draw(60) + 0.5) * 255).round().permute(0, 2, 3, 1).byte().numpy()
    whole = sum(np.array_equal(crop[:, ::flip], picture) for crop in drawn for flip in (1, -1))
    assert whole in wanted


def test_pictures_that_are_all_too_small_are_refused() -> None:
    with pytest.raises(InputError, match="none of 1 pictures"):
        Crops([np.zeros((10, 100, 3), np.uint8)], 64)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        load(tmp_path)


def test_a_crop_that_the_networks_cannot_halve_is_refused() -> None:
    config = dataclasses.replace(QUICK, crop=100)
    with pytest.raises(UsageError, match="multiple of 64"):
        loop.Trainer(starts.beginning(SMALL, config), config, CPU)


def test_channels_of_all_activations_of_the_transforms_come_last_in_memory() -> None:
    model, orders = VLAE(SMALL), set()
    for layer in (*model.analysis_net.modules(), *model.synthesis_net.modules()):
        if isinstance(layer, nn.Conv2d | GatedBlock | ResidualBlock | Modulation):
            layer.register_forward_hook(
                lambda _, __, out: orders.add(out.is_contiguous(memory_format=torch.channels_last))
            )
    x = torch.zeros(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        evaluate(model, x, torch.tensor([0.2, 0.8]), Objective(), 0)
    assert orders == {True}


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # by what traces the networks
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_a_compiled_step_is_the_step(pictures: list[NDArray[np.uint8]]) -> None:
    found = []
    for compiled in (False, True):
        config = dataclasses.replace(QUICK, compile=compiled)
        trainer = loop.Trainer(starts.beginning(SMALL, config), config, CPU)
        assert (trainer.model.analysis_net._compiled_call_impl is not None) == compiled
        torch.manual_seed(0)
        x = Crops(pictures, 64).draw(2).contiguous(memory_format=torch.channels_last)
        terms, norm, _ = trainer.train_step(x, loop.Wishes(stop=False, save=False))
        found.append((float(terms.loss.detach()), norm))
    assert found[1] == pytest.approx(found[0], rel=0.01)


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    config = dataclasses.replace(QUICK, compile=True)
    with pytest.raises(UsageError, match="no C\\+\\+ compiler"):
        loop.Trainer(starts.beginning(SMALL, config), config, CPU)


def run(
    folder: Path, pictures: list[NDArray[np.uint8]], start: checkpoint.Checkpoint, steps: int, only: str = ""
) -> checkpoint.Checkpoint:
    """Train to `steps`; the checkpoint as read back."""
    loop.train(pictures, folder, start, dataclasses.replace(QUICK, steps=steps, only=only), CPU)
    return checkpoint.load(folder / checkpoint.NAME)


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    straight = run(tmp_path / "a", pictures, starts.beginning(SMALL, QUICK), 6)
    half = run(tmp_path / "b", pictures, starts.beginning(SMALL, QUICK), 3)
    resumed = run(tmp_path / "b", pictures, half, 6)
    assert resumed.step == straight.step == 6
    assert resumed.pixels == straight.pixels == 6 * 2 * 64 * 64
    for name in ("model", "ema"):
        one, two = getattr(straight, name), getattr(resumed, name)
        assert one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)
    assert torch.equal(straight.random[0], resumed.random[0])


def test_training_lowers_the_loss(tmp_path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    start = starts.beginning(SMALL, QUICK)
    end = run(tmp_path, pictures, start, 60)
    x, rate = Crops(pictures, 64).draw(8), torch.linspace(0, 1, 8)
    losses = []
    for weights in (start.model, end.model):
        model = VLAE(SMALL)
        model.load_state_dict(weights)
        torch.manual_seed(0)
        losses.append(float(evaluate(model, x, rate, Objective(), 0).loss.detach()))
    assert losses[1] < 0.7 * losses[0]


def test_a_branch_keeps_weights_and_momentum_and_counts_from_zero(
    tmp_path: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    parent = run(tmp_path, pictures, starts.beginning(SMALL, QUICK), 3)
    child = starts.branch(parent)
    assert child.step == 0 and child.pixels == parent.pixels and child.optimizer is parent.optimizer
    assert all(torch.equal(child.model[n], parent.model[n]) for n in parent.model)


def test_a_grown_model_computes_the_same_at_first_and_then_learns_in_its_new_blocks(
    tmp_path: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    parent = run(tmp_path / "small", pictures, starts.beginning(SMALL, QUICK), 3)
    child = starts.grown(
        parent, dataclasses.replace(SMALL, analysis_blocks8=3, synthesis_blocks4=2, synthesis_blocks8=3)
    )
    assert child.step == 0 and child.pixels == parent.pixels
    x, rate = torch.rand(1, 3, 64, 64) - 0.5, torch.tensor([0.4])
    small, large = checkpoint.averaged(parent), checkpoint.averaged(child)
    with torch.no_grad():
        y = small.analysis(x, rate)
        assert torch.equal(large.analysis(x, rate), y)
        assert torch.equal(large.synthesis(y, rate), small.synthesis(y, rate))
    learned = run(tmp_path / "large", pictures, child, 2)
    assert float(learned.model["synthesis_net.blocks8.blocks.2.expand.weight"].abs().max()) > 0


@pytest.mark.parametrize("sizes", [{"width8": 32}, {"synthesis_blocks8": 0}])
def test_growth_is_refused_in_anything_but_numbers_of_blocks(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="numbers of blocks"):
        starts.grown(starts.beginning(SMALL, QUICK), dataclasses.replace(SMALL, **sizes))


def test_only_what_is_named_is_trained_and_the_rest_stays_at_its_average(
    tmp_path: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    parent = run(tmp_path / "all", pictures, starts.beginning(SMALL, QUICK), 3)
    child = run(tmp_path / "some", pictures, starts.branch(parent), 3, only="synthesis_net")
    for name, weight in child.model.items():
        same = torch.equal(weight, parent.ema[name])
        assert same == (not name.startswith("synthesis_net")), name
        assert torch.equal(child.ema[name], parent.ema[name]) == same, name


def test_a_renewed_network_may_have_another_shape_and_starts_without_what_it_had(
    tmp_path: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    parent = run(tmp_path, pictures, starts.beginning(SMALL, QUICK), 3)
    child = starts.renewed(parent, dataclasses.replace(SMALL, synthesis_blocks8=3), QUICK, "synthesis_net")
    assert child.step == 0 and child.pixels == parent.pixels and not child.optimizer
    assert child.model.keys() > parent.model.keys()
    for name, weight in child.model.items():
        if not name.startswith("synthesis_net"):
            assert torch.equal(weight, parent.ema[name]) and torch.equal(child.ema[name], parent.ema[name])
    weight = "synthesis_net.up8.0.weight"
    assert not torch.equal(child.model[weight], parent.ema[weight])


@pytest.mark.parametrize(
    ("prefix", "refusal"), [("synthesis", "analysis_net.*does not fit"), ("nothing", "begins with 'nothing'")]
)
def test_parameters_that_do_not_fit_or_do_not_exist_are_not_renewed(prefix: str, refusal: str) -> None:
    with pytest.raises(UsageError, match=refusal):
        starts.renewed(starts.beginning(SMALL, QUICK), dataclasses.replace(SMALL, width8=32), QUICK, prefix)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (["--only", "nothing"], "begins with 'nothing'"),
        (["--anew", "synthesis_net"], "--branch"),
        (["--half-chroma", "1.5"], "range 0<=x<=1"),
        (["--ema", "1.5"], "range 0<=x<=1"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, folder_of_pictures: Path, small_config: Path, options: list[str], refusal: str
) -> None:
    command = ["train", str(folder_of_pictures), "--out", str(tmp_path / "run"), "--config", str(small_config)]
    result = CliRunner().invoke(main, [*command, "--crop", "64", *options])
    assert result.exit_code == 2 and refusal in result.output


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", b"PK\3\4 nothing"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(damage)
    with pytest.raises(InputError, match="not a checkpoint"):
        checkpoint.load(path)


@pytest.fixture
def folder_of_pictures(tmp_path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def start_command(out: Path, data: Path, config: Path, *options: str, processes: int = 1) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "vlae_codec", "train", str(data), "--out", str(out)]
    command += ["--config", str(config), "--batch", "1", "--crop", "64", "--log-steps", "1", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def small_config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(SMALL)))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_a_checkpoint_of_its_last_step(
    tmp_path: Path, folder_of_pictures: Path, small_config: Path, number: signal.Signals
) -> None:
    with start_command(tmp_path / "run", folder_of_pictures, small_config, "--steps", "100000") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step 5/" in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == 0, rest
    last = re.findall(r"step (\d+)/", rest) or ["5"]
    assert checkpoint.load(tmp_path / "run" / checkpoint.NAME).step == int(last[-1])


def test_two_processes_train_one_model_and_leave_one_checkpoint(
    tmp_path: Path, folder_of_pictures: Path, small_config: Path
) -> None:
    with start_command(tmp_path / "run", folder_of_pictures, small_config, "--steps", "3", processes=2) as process:
        _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    found = checkpoint.load(tmp_path / "run" / checkpoint.NAME)
    assert found.step == 3 and found.pixels == 2 * 3 * 64 * 64 and len(found.random) == 2
    assert not torch.equal(found.random[0], found.random[1])


def test_export_writes_a_model_that_the_codec_reads_and_a_card(
    tmp_path: Path, folder_of_pictures: Path, pictures: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_COST", 1.0)  # three steps of training make no model that rounds well
    run(tmp_path / "run", pictures, starts.beginning(SMALL, QUICK), 3)
    out = tmp_path / "model.safetensors"
    arguments = [str(tmp_path / "run" / checkpoint.NAME), str(folder_of_pictures)]
    small = ["--crops", "2", "--size", "128"]
    exported = CliRunner().invoke(main, ["export", *arguments, str(out), *small])
    assert exported.exit_code == 0, exported.output
    model = models.read(out, "small")
    card = (tmp_path / "model.md").read_text()
    assert model.id.hex() in card and "channels of z are coded" in card
    assert "Tuned for psnr, on latents as the analysis gives them; 0% of the crops had half" in card
    diagnosed = CliRunner().invoke(main, ["diagnose", *arguments, *small, "--plot", str(tmp_path / "z.png")])
    assert diagnosed.exit_code == 0, diagnosed.output
    assert "| rate index |" in diagnosed.output and (tmp_path / "z.png").stat().st_size > 5000


def test_a_model_file_is_restored_to_what_it_was_exported_from(small_vlae: VLAE, tmp_path: Path) -> None:
    x = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 0.2
    grid = export.hyper_grid(small_vlae, x)
    path = tmp_path / "small.safetensors"
    models.save(path, small_vlae, export.integers(export.prior_weights(small_vlae, grid), small_vlae, grid), 7, 3.5)
    start = restored(path)
    assert (start.step, start.pixels, start.seconds) == (0, 7, 3.5)
    found = checkpoint.averaged(start)
    rates = torch.tensor([0.3, 0.9])
    with torch.no_grad():
        y = small_vlae.analysis(x, rates)
        assert torch.allclose(found.analysis(x, rates), y, atol=0.05, rtol=0.01)
        groups = [group.round() for group in small_vlae.split(y)]
        predictors = [model.predictor(rates) for model in (small_vlae, found)]
        for group in groups[:-1]:
            one, two = (predict(group) for predict in predictors)
            assert torch.allclose(one.mean, two.mean, atol=0.05, rtol=0.01)
        bits = [
            kl_bits(model.posterior(groups[0]), model.prior())[:, channels].sum()
            for model, channels in ((small_vlae, grid.kept), (found, range(len(grid.kept))))
        ]
        assert torch.isclose(*bits, rtol=0.02)
        z = small_vlae.posterior(groups[0]).mean
        unused = torch.ones(z.shape[1], dtype=torch.bool).scatter(0, grid.kept, False)
        z[:, unused] = 0.0
        scale = small_vlae.prior().std[:, grid.kept]
        same = torch.cat([z[:, grid.kept] / scale, torch.randn_like(z[:, unused])], 1)
        one, two = small_vlae.first_likelihood(z, rates), found.first_likelihood(same, rates)
        assert torch.allclose(one.mean, two.mean, atol=0.1, rtol=0.05)


def test_export_refuses_a_model_whose_rounding_costs_too_much(
    tmp_path: Path, pictures: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_COST", -1.0)
    out = tmp_path / "model.safetensors"
    with pytest.raises(LimitError, match="rounding costs"):
        export.export(run(tmp_path, pictures, starts.beginning(SMALL, QUICK), 1), Crops(pictures, 64).draw(2), out)
    assert not out.exists()


def test_diagnose_says_so_when_the_posterior_has_collapsed(small_vlae: VLAE) -> None:
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)) - 0.5
    dead = VLAE(SMALL)
    dead.load_state_dict(small_vlae.state_dict())
    with torch.no_grad():
        dead.hyper_analysis.out.weight.zero_()
        dead.hyper_synthesis.inp.weight.zero_()
    assert "has collapsed" in verdict(diagnose(dead.eval(), x))
    assert "has collapsed: 0 of 4" in verdict(diagnose(dead.eval(), x))
    alive = [
        Measurement(0.5, (100, 90, 80, 70), shuffled=300, drawn=310, kl=torch.full((4,), 2.0), active=torch.ones(4) > 0)
    ]
    assert "is alive" in verdict(alive)
    dear = [dataclasses.replace(alive[0], kl=torch.full((4,), 60.0))]
    assert "costs more than it is worth" in verdict(dear)


def test_the_crops_of_a_step_have_rates_from_all_parts_of_the_range() -> None:
    drawn = torch.cat([loop.rates(8, rank, 2) for rank in (0, 1)])
    assert (drawn * 16).long().sort().values.tolist() == list(range(16))
    assert not torch.equal(loop.rates(8, 0, 2), loop.rates(8, 0, 2))
