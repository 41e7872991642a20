"""Fleets of invented adapters: what is read and drawn of them, and the loss by which they are told apart."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from training.adapters import FOLDER, Fleet, InventedAdapter, draw, read_fleets
from training.data import CannotTrain
from training.fleet_loss import FleetLoss

WIDTH, EACH = 32, 7


def fleet(name: str, adapters: int = 5) -> Fleet:
    return Fleet(
        tuple(InventedAdapter(f"{name}{i}", tuple(f"{name}{i} asks {n}" for n in range(9))) for i in range(adapters)),
        tuple(f"{name} outside {n}" for n in range(30)),
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    prompts = [f"prompt {n}" for n in range(14)]
    adapters = [{"name": "a", "description": "what it is for", "prompts": prompts}]
    written = {"fleets": [{"name": "f", "adapters": adapters, "outside": ["else"]}]}
    (tmp_path / "fleets_train.json").write_text(json.dumps(written))
    return tmp_path


def test_every_fleet_in_the_repository_and_in_the_data_is_read(data_dir: Path) -> None:
    found = read_fleets(data_dir, lambda _: False)

    assert len(found) == len([*FOLDER.glob("*.json")]) + 1
    assert found[-1].adapters[0].description == "what it is for"
    assert sum(len(one.adapters) for one in found) > 400


def test_without_those_in_the_data_nothing_is_trained(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match=r"fleets_train\.json: no such file"):
        read_fleets(tmp_path, lambda _: False)


@pytest.mark.parametrize(
    ("judging", "prompts", "outside"),
    [
        (["prompt 3"], 13, ["else"]),
        (["else"], 14, []),
        ([f"prompt {n}" for n in range(8)], None, ["else"]),
        (["what it is for"], None, ["else"]),
    ],
)
def test_texts_that_judge_are_left_out_and_an_adapter_of_which_too_little_is_left(
    data_dir: Path, judging: list[str], prompts: int | None, outside: list[str]
) -> None:
    found = read_fleets(data_dir, judging.__contains__)[-1]

    assert [len(one.prompts) for one in found.adapters] == ([] if prompts is None else [prompts])
    assert list(found.outside) == outside


def test_a_batch_has_prompts_of_each_adapter_in_their_order() -> None:
    batch = draw([fleet("sql")], ["hello"] * 50, random.Random(0))  # noqa: S311

    assert len(set(batch.prompts)) == EACH * len(batch.descriptions)
    for at, description in enumerate(batch.descriptions):
        assert {text.split()[0] for text in batch.prompts[at * EACH :][:EACH]} == {description}
    assert (len(batch.outside), len(batch.ordinary)) == (10, 24)


def test_some_batches_have_adapters_of_several_fleets_and_none_twice() -> None:
    rng = random.Random(1)  # noqa: S311
    fleets = [fleet("a"), fleet("b")]
    drawn = [draw(fleets, ["hello"], rng).descriptions for _ in range(200)]
    mixed = [some for some in drawn if len({one[0] for one in some}) == 2]

    assert all(len(set(some)) == 5 for some in drawn)
    assert 30 <= len(mixed) <= 70


def features(apart: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Four adapters whose texts lie so far from each other's, and from what belongs to nobody."""
    torch.manual_seed(seed)
    topics = apart * torch.randn(4, WIDTH)
    some = topics[:, None] + torch.randn(4, EACH, WIDTH)
    return topics + 0.1 * torch.randn(4, WIDTH), some, torch.randn(10, WIDTH), torch.randn(24, WIDTH)


def test_the_loss_is_small_where_texts_are_near_to_their_adapter_and_not_to_others() -> None:
    near, far = (FleetLoss(WIDTH)(*features(apart)).item() for apart in (3.0, 0.1))

    assert near < 1.0 < 4.0 < far


def test_prompts_tell_their_adapter_even_where_the_descriptions_do_not() -> None:
    described, prompts, outside, ordinary = features(3.0)
    strange, mixed = torch.randn_like(described), prompts.transpose(0, 1).reshape(prompts.shape)

    told, untold = (FleetLoss(WIDTH)(strange, some, outside, ordinary) for some in (prompts, mixed))
    assert told < untold - 1.0


def test_a_description_tells_its_adapter_whatever_the_other_prompts_are() -> None:
    described, *rest = features(3.0)

    assert FleetLoss(WIDTH)(described, *rest) < FleetLoss(WIDTH)(described.roll(1, 0), *rest) - 3.0


@pytest.mark.parametrize("nobody", [2, 3])
def test_what_belongs_to_nobody_must_be_near_to_no_adapter(nobody: int) -> None:
    apart = list(features(3.0))
    before = FleetLoss(WIDTH)(*apart)
    apart[nobody] = apart[nobody].clone()
    apart[nobody][:5] = apart[0][0]

    assert FleetLoss(WIDTH)(*apart) > before + 0.1


def test_a_prompt_does_not_vouch_for_itself() -> None:
    """Its own adapter's texts without it are elsewhere, so it must not be taken for theirs."""
    described, prompts, outside, ordinary = features(3.0)
    prompts[0, 0] = 5 * torch.randn(WIDTH)
    asked = torch.cat([prompts.reshape(-1, WIDTH), outside, ordinary])
    cosines = FleetLoss(WIDTH)._prototypes(described, asked, len(described), EACH)

    assert cosines.shape == (4 * EACH + 34, 4)
    assert cosines[0, 0] < 0.3
    assert (cosines[1:EACH, 0] > 0.8).all()


def test_the_loss_knows_what_is_ordinary_by_all_batches_so_far() -> None:
    loss = FleetLoss(WIDTH)
    for seed in range(300):
        described, prompts, outside, ordinary = features(1.0, seed)
        loss(described, prompts, outside, 5 + 2 * ordinary)

    assert torch.allclose(loss.mean, torch.full((WIDTH,), 5.0), atol=0.3)
    assert torch.allclose(loss.variance, torch.full((WIDTH,), 4.0), atol=1.0)


def test_the_first_batch_says_at_once_what_is_ordinary() -> None:
    loss = FleetLoss(WIDTH)
    described, prompts, outside, ordinary = features(1.0)
    loss(described, prompts, outside, 5 + ordinary)

    assert torch.allclose(loss.mean, (5 + ordinary).mean(0))
