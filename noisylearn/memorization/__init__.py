"""What takes several trainings to find out: the fake class of AUM, second-split forgetting."""

from noisylearn.memorization.aum_filter import AUMFilterResult, aum_filter
from noisylearn.memorization.dataset_view import DatasetView
from noisylearn.memorization.fake_class import FakeClassResult, fake_class_protocol
from noisylearn.memorization.fake_class_rule import choose_probes, fake_class_flags, fake_class_threshold
from noisylearn.memorization.forgetting_time import ForgettingTime, forgetting_time
from noisylearn.memorization.head import widen_head
from noisylearn.memorization.second_split import SecondSplitResult, second_split

__all__ = [
    "AUMFilterResult",
    "DatasetView",
    "FakeClassResult",
    "ForgettingTime",
    "SecondSplitResult",
    "aum_filter",
    "choose_probes",
    "fake_class_flags",
    "fake_class_protocol",
    "fake_class_threshold",
    "forgetting_time",
    "second_split",
    "widen_head",
]
