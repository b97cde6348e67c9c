"""One LightningModule per method, and what they are trained with."""

from noisylearn.methods.cdr import CDR
from noisylearn.methods.co_teaching import CoTeaching
from noisylearn.methods.co_teaching_plus import CoTeachingPlus
from noisylearn.methods.cores import CORES
from noisylearn.methods.cross_entropy import CrossEntropy
from noisylearn.methods.decoupling import Decoupling
from noisylearn.methods.disc import DISC
from noisylearn.methods.dividemix import DivideMix
from noisylearn.methods.elr import ELR
from noisylearn.methods.elr_plus import ELRPlus
from noisylearn.methods.jocor import JoCoR
from noisylearn.methods.joint_optimization import JointOptimization
from noisylearn.methods.late_stopping import LateStopping
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.m_correction import MCorrection
from noisylearn.methods.me_momentum import MeMomentum
from noisylearn.methods.o2u import O2U
from noisylearn.methods.pencil import PENCIL
from noisylearn.methods.pes import PES
from noisylearn.methods.pes_semi import PESSemi
from noisylearn.methods.robust_loss import RobustLoss
from noisylearn.methods.schedules import HoldThenLinearLR, PiecewiseConstantLR
from noisylearn.methods.selc import SELC
from noisylearn.methods.self_filtering import SelfFiltering
from noisylearn.methods.self_paced import SelfPaced
from noisylearn.methods.small_loss import SmallLoss
from noisylearn.methods.sop import SOP
from noisylearn.methods.sop_plus import SOPPlus
from noisylearn.methods.t_revision import TRevision
from noisylearn.methods.transition import BackwardCorrection, ForwardCorrection
from noisylearn.methods.truncated_gce import TruncatedGCE
from noisylearn.methods.two_networks import TwoNetworks
from noisylearn.methods.unicon import UNICON
from noisylearn.methods.vol_min_net import VolMinNet

__all__ = [
    "CDR",
    "CORES",
    "DISC",
    "ELR",
    "O2U",
    "PENCIL",
    "PES",
    "SELC",
    "SOP",
    "UNICON",
    "BackwardCorrection",
    "CoTeaching",
    "CoTeachingPlus",
    "CrossEntropy",
    "Decoupling",
    "DivideMix",
    "ELRPlus",
    "ForwardCorrection",
    "HoldThenLinearLR",
    "JoCoR",
    "JointOptimization",
    "LateStopping",
    "MCorrection",
    "MeMomentum",
    "NoisyLearner",
    "PESSemi",
    "PiecewiseConstantLR",
    "RobustLoss",
    "SOPPlus",
    "SelfFiltering",
    "SelfPaced",
    "SmallLoss",
    "TRevision",
    "TruncatedGCE",
    "TwoNetworks",
    "VolMinNet",
]
