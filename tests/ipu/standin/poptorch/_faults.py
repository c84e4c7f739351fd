"""Misbehaviours that take more than a line where they act."""

import os
import time

import torch

from ._mutants import acts


def swap_two(pairs):
    names = list(pairs)
    for first in names:
        for second in names[names.index(first) + 1 :]:
            if pairs[first].shape == pairs[second].shape and not torch.equal(pairs[first], pairs[second]):
                pairs[first], pairs[second] = pairs[second], pairs[first]
                return


def misbehave(calls):
    """From the second call on, some devices go silent and some take the process with them."""
    if calls and acts("hangs"):
        time.sleep(10**6)
    if (calls and acts("dies")) or (calls > 10 and acts("dies-later")):
        os._exit(139)
