"""A body of published weights with one linear layer on top: what a private run can learn from few patients."""

from collections import OrderedDict

from torch import nn

from dpmed.models.layers import Centre, UnitLength


def probe(features: nn.Module, count: int, outputs: int, *, kinds: int = 1) -> nn.Sequential:
    """`features` (images to "batch feature" of `count`), less `centre`, each kind at one length, then a linear `head`.

    The head starts at zero: every patient's first gradient then points from nothing towards the answer, and not from
    random answers.
    """
    head = nn.Linear(count, outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(OrderedDict(features=features, centre=Centre(count), unit=UnitLength(kinds), head=head))
