"""`evaluating`: look at the network in the middle of training, and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from noisylearn._rng import rng_state, set_rng_state


@contextmanager
def evaluating(trainer: Any, module: Any) -> Iterator[None]:
    """Evaluation mode without gradients, in the Trainer's precision, as in a validation.

    Afterwards every submodule is in the mode it was in (a frozen batch norm too), and all random numbers go on where
    they were, so that training cannot tell.

    Args:
        trainer: The Trainer; it says ``validating`` meanwhile, for hooks that augment in training only.
        module: The LightningModule.

    Example:
        >>> from types import SimpleNamespace
        >>> from contextlib import nullcontext
        >>> precision = SimpleNamespace(val_step_context=nullcontext)
        >>> trainer = SimpleNamespace(validating=False, training=True, precision_plugin=precision)
        >>> net = torch.nn.Dropout()
        >>> with evaluating(trainer, net):
        ...     net.training, torch.is_grad_enabled()
        (False, False)
        >>> net.training
        True
    """
    modes = [(part, part.training) for part in module.modules()]
    rng, training = rng_state(), trainer.training
    trainer.validating = True
    module.eval()
    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
        if training:
            trainer.training = True
        set_rng_state(rng)
