"""`Rewind`: the base of the methods whose network goes back to earlier weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noisylearn.methods.learner import NoisyLearner

_KEY = "noisylearn_kept_weights"


class Rewind(NoisyLearner):
    """Base of the methods that keep their network's weights and go back to them, to train once more.

    What is kept is in the checkpoint for as long as it is kept. Going back takes batch norm's statistics along, and
    lets the optimizer begin anew. A network that came with weights of its own (pretrained ones, say) has them again,
    which one drawn anew would not.
    """

    def __init__(self, **learner: Any) -> None:
        super().__init__(**learner)
        self._kept_weights: dict[str, Tensor] = {}

    def keep_weights(self) -> None:
        """Keep the weights of this moment, in the place of others."""
        weights = self.network.state_dict()
        self._kept_weights = {name: part.detach().to("cpu", copy=True) for name, part in weights.items()}

    def drop_weights(self) -> None:
        """Keep none any longer."""
        self._kept_weights = {}

    def rewind(self) -> None:
        """Go back to the weights that are kept."""
        self.network.load_state_dict(self._kept_weights)
        self.forget_steps()

    def forget_steps(self) -> None:
        """Let the optimizer begin anew: its momentum, say, belongs to the weights that are left behind."""
        for optimizer in self.trainer.optimizers:
            optimizer.state.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the weights that are kept."""
        super().on_save_checkpoint(checkpoint)
        if self._kept_weights:
            checkpoint[_KEY] = self._kept_weights

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        super().on_load_checkpoint(checkpoint)
        self._kept_weights = checkpoint.get(_KEY, {})
