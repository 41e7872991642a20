"""How well features tell adapters apart, as the service decides (`pointsman.classify.described`)."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

Tensor: TypeAlias = torch.Tensor

_NOBODY = 0.5
"""Weight of the prompts that belong to no adapter, beside 1 for all others."""
_MEMORY = 0.98
"""Share of the estimate so far in the mean and the variance of ordinary requests, at each batch."""
_MIN_DEVIATION = 1e-3
_SCALES = (10.0, 10.0)
_MIDDLES = (0.22, 0.35)
"""Before the training: what a cosine is multiplied by, and at which one nobody is as likely."""


class FleetLoss(nn.Module):  # type: ignore[misc]  # torch is not read here
    """The cross-entropy of a prompt's adapter, or of nobody; once by the descriptions, once by prompts, too.

    The logits are the scaled cosines between a prompt and each description, or between it and the mean of an adapter's
    other texts: prototypes as of Snell, Swersky and Zemel, "Prototypical networks for few-shot learning" (2017). Of
    all features the mean of ordinary requests is taken away; with prompts they are divided by the deviation of these.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.tensor(_SCALES))
        self.middles = nn.Parameter(torch.tensor(_MIDDLES))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.zeros(width))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, descriptions: Tensor, prompts: Tensor, outside: Tensor, ordinary: Tensor) -> Tensor:
        """Return the loss of one fleet's features.

        `descriptions` [adapters, width], `prompts` [adapters, prompts of each, width]; `outside` and `ordinary`
        [texts, width] belong to nobody, and the latter say what is ordinary.
        """
        self._remember(ordinary.detach())
        adapters, each, width = prompts.shape
        nobody = torch.cat([outside, ordinary])
        asked = torch.cat([prompts.reshape(-1, width), nobody]) - self.mean
        described = descriptions - self.mean
        truth = torch.arange(adapters).repeat_interleave(each)
        truth = torch.cat([truth, torch.full((len(nobody),), adapters)])
        weights = torch.cat(
            [torch.full((adapters * each,), 1 / (adapters * each)), torch.full((len(nobody),), _NOBODY / len(nobody))]
        )
        by_description = normalize(asked, dim=-1) @ normalize(described, dim=-1).T
        by_texts = self._prototypes(described, asked, adapters, each)
        losses = (
            (cross_entropy(self._logits(cosines, way), truth, reduction="none") * weights).sum()
            for way, cosines in enumerate((by_description, by_texts))
        )
        return sum(losses, torch.zeros(()))

    def _prototypes(self, described: Tensor, asked: Tensor, adapters: int, each: int) -> Tensor:
        """Return the cosines [texts, adapters] with each adapter's texts; a prompt is none of its own adapter's."""
        deviation = self.variance.sqrt() + _MIN_DEVIATION
        asked, described = normalize(asked / deviation, dim=-1), normalize(described / deviation, dim=-1)
        own = asked[: adapters * each].view(adapters, each, -1)
        sums = own.sum(1) + described
        cosines = asked @ normalize(sums, dim=-1).T
        without = (own * normalize(sums[:, None] - own, dim=-1)).sum(-1)
        is_own = torch.eye(adapters, dtype=torch.bool).repeat_interleave(each, 0)
        is_own = torch.cat([is_own, torch.zeros(len(asked) - len(is_own), adapters, dtype=torch.bool)])
        return cosines.masked_scatter(is_own, without)

    def _logits(self, cosines: Tensor, way: int) -> Tensor:
        """Return the logits [texts, adapters + 1]; that of nobody, the last, is 0."""
        logits = self.scales[way] * (cosines - self.middles[way])
        return torch.cat([logits, torch.zeros(len(logits), 1)], dim=1)

    def _remember(self, ordinary: Tensor) -> None:
        """Move the mean and the variance towards those of a batch; at first they are its own."""
        share = max(1 - _MEMORY, 1 / (1 + self.batches.item()))
        self.mean.lerp_(ordinary.mean(0), share)
        self.variance.lerp_((ordinary - self.mean).square().mean(0), share)
        self.batches += 1
