"""Several views of a batch in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def join_views(views: Sequence[Any]) -> Any:
    """Return the views as one batch, one after the other, so that batch norm sees them together.

    Args:
        views: Tensors, or mappings or lists of what can be joined.

    Example:
        >>> join_views([torch.zeros(2, 3), torch.ones(2, 3)]).shape
        torch.Size([4, 3])
        >>> join_views([{"id": [1, 2]}, {"id": [3, 4]}])
        {'id': [1, 2, 3, 4]}
    """
    first = views[0]
    if isinstance(first, Tensor):
        return torch.cat(list(views))
    if isinstance(first, Mapping):
        return {name: join_views([view[name] for view in views]) for name in first}
    return [item for view in views for item in view]
