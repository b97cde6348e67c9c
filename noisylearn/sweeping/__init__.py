"""A pass over the training set in the middle of a fit: what it reads, how the network looks at it, its progress."""

from noisylearn.sweeping.evaluating import evaluating
from noisylearn.sweeping.loader import SweepLoader, sweep_loader
from noisylearn.sweeping.progress import with_progress

__all__ = ["SweepLoader", "evaluating", "sweep_loader", "with_progress"]
