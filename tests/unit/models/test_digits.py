"""The digits network learns the demo's task and is large enough to memorize its wrong labels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from noisylearn.models import digits_cnn


def test_memorizes_forty_percent_wrong_labels() -> None:
    torch.manual_seed(0)
    data, target = load_digits(return_X_y=True)
    images = torch.from_numpy(data[:1437] / 16).float().view(-1, 1, 8, 8)
    clean = torch.from_numpy(target[:1437].astype(np.int64))
    wrong = torch.rand(1437) < 0.4
    given = torch.where(wrong, (clean + torch.randint(1, 10, (1437,))) % 10, clean)
    images = images.to(memory_format=torch.channels_last)  # faster on a CPU
    net = digits_cnn(10)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
    correct_on_wrong = []
    for _ in range(60):
        net.train()
        for rows in torch.randperm(1437).split(64):
            optimizer.zero_grad()
            F.cross_entropy(net(images[rows]), given[rows]).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            predicted = net.eval()(images).argmax(1)
        correct_on_wrong.append((predicted == clean)[wrong].float().mean().item())
    assert max(correct_on_wrong) > 0.7  # first it learns the digits,
    assert (predicted == given)[wrong].float().mean() > 0.95  # then the wrong labels
