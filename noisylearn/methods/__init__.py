"""One LightningModule per method."""

from noisylearn.methods.co_teaching import CoTeaching
from noisylearn.methods.cross_entropy import CrossEntropy
from noisylearn.methods.elr import ELR
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.small_loss import SmallLoss
from noisylearn.methods.two_networks import TwoNetworks

__all__ = ["ELR", "CoTeaching", "CrossEntropy", "NoisyLearner", "SmallLoss", "TwoNetworks"]
