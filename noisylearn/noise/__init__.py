"""Label corruption: pure functions from clean labels, a rate and a seed to noisy labels.

Every generator returns a `NoisyLabels` record with the realised rate and a hash of the labels, because names
alone do not pin a noise down: "symmetric 0.8" is 80 % wrong labels where the own class is excluded and 72 %
(of ten classes) where it is included. The two are different functions here, and so are independent draws and
exact counts.
"""

from noisylearn.noise.clusterability import hoc_transition_matrix
from noisylearn.noise.dispatch import NOISE_KINDS, expected_wrong_rate, make_noise
from noisylearn.noise.estimation import transition_matrix
from noisylearn.noise.estimators import anchor_transition_matrix, dual_t_transition_matrix
from noisylearn.noise.exact import (
    asymmetric_cifar10_exact,
    asymmetric_cifar10_pooled,
    symmetric_exact,
    symmetric_inclusive_exact,
)
from noisylearn.noise.independent import (
    asym_block5,
    asym_superclass,
    asymmetric_cifar10,
    asymmetric_mnist,
    pair_flip,
    symmetric,
    symmetric_inclusive,
)
from noisylearn.noise.instance import instance_dependent
from noisylearn.noise.matrices import (
    CIFAR10_CONFUSIONS,
    CIFAR100_FINE_TO_COARSE,
    MNIST_CONFUSIONS,
    asym_block5_matrix,
    asym_superclass_matrix,
    asymmetric_cifar10_matrix,
    asymmetric_mnist_matrix,
    pair_flip_matrix,
    symmetric_inclusive_matrix,
    symmetric_matrix,
)
from noisylearn.noise.record import NoisyLabels
from noisylearn.noise.sampler import from_matrix

__all__ = [
    "CIFAR10_CONFUSIONS",
    "CIFAR100_FINE_TO_COARSE",
    "MNIST_CONFUSIONS",
    "NOISE_KINDS",
    "NoisyLabels",
    "anchor_transition_matrix",
    "asym_block5",
    "asym_block5_matrix",
    "asym_superclass",
    "asym_superclass_matrix",
    "asymmetric_cifar10",
    "asymmetric_cifar10_exact",
    "asymmetric_cifar10_matrix",
    "asymmetric_cifar10_pooled",
    "asymmetric_mnist",
    "asymmetric_mnist_matrix",
    "dual_t_transition_matrix",
    "expected_wrong_rate",
    "from_matrix",
    "hoc_transition_matrix",
    "instance_dependent",
    "make_noise",
    "pair_flip",
    "pair_flip_matrix",
    "symmetric",
    "symmetric_exact",
    "symmetric_inclusive",
    "symmetric_inclusive_exact",
    "symmetric_inclusive_matrix",
    "symmetric_matrix",
    "transition_matrix",
]
