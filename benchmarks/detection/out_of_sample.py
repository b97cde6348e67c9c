"""cleanlab's side of the detection study: probabilities out of sample, at their full cost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback
from sklearn.model_selection import StratifiedKFold

from benchmarks.detection.training import EARLY, fit, probabilities
from noisylearn.data import NoisyDataModule

try:
    import cleanlab
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
except ImportError:
    cleanlab = None

FOLDS = 5


class EarlyProbabilities(Callback):
    """Predicts held-out rows once, when the early window ends."""

    def __init__(self, data: NoisyDataModule, rows: torch.Tensor) -> None:
        self.data, self.rows, self.found = data, rows, torch.empty(0)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Predict, at the end of that epoch."""
        if trainer.current_epoch + 1 == EARLY:
            self.found = probabilities(pl_module, self.data, self.rows)
            pl_module.train()


def cleanlab_scores(data: NoisyDataModule, seed: int) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Return cleanlab's scores from probabilities out of sample, and the seconds of trainings and scoring."""
    given = data.noisy_targets.numpy()
    probs = {when: np.zeros((len(given), 10)) for when in ("early", "whole")}
    training = 0.0
    for _, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(given, given):
        rows = torch.from_numpy(held_out)
        kept = torch.from_numpy(np.setdiff1d(np.arange(len(given)), held_out))
        early = EarlyProbabilities(data, rows)
        module, seconds = fit(data, kept, seed, [early])
        probs["early"][held_out], probs["whole"][held_out] = early.found, probabilities(module, data, rows)
        training += seconds
    scores: dict[str, torch.Tensor] = {}
    start = time.process_time()
    for when, p in probs.items():
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
            scores[f"{when}:cleanlab/{method}"] = torch.from_numpy(get_label_quality_scores(given, p, method=method))
        issues = find_label_issues(given, p, n_jobs=1)
        scores[f"{when}:cleanlab/label_issue"] = torch.from_numpy(issues).double()
    return scores, {"folds": training, "cleanlab": (time.process_time() - start) / len(probs)}
