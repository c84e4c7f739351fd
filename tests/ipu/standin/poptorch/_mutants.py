"""PopTorch misbehaving, one way at a time, so that a worker's self-test can be seen to refuse each.

Chosen by name in the environment variable DPMED_STANDIN_MUTANT. README.md beside this package has them too.
"""

import os

VARIABLE = "DPMED_STANDIN_MUTANT"

ARITHMETIC = {
    "clip-after-accumulation": "the gradients of a whole call are added up, clipped once and applied once",
    "reduce-before-clip": "two neighbouring micro-batches are averaged before the clip",
    "replicas": "two replicas run: micro-batch i and i + N/2 are averaged before the clip, dimension 0 doubles",
    "sums-before-clip": "two neighbouring micro-batches are added up before the clip",
    "no-clip": "max_grad_norm is ignored",
    "clip-per-tensor": "every weight is clipped alone instead of all together",
    "no-clip-later": "max_grad_norm is ignored from the tenth call on",
    "clip-twice-as-far": "the clip acts at twice max_grad_norm",
    "clip-a-hair-loose": "the clip acts at 1.001 times max_grad_norm",
    "half-norm": "the norm to clip by is computed in float16",
    "clip-by-value": "every number is cut at max_grad_norm instead of the norm",
    "normalizes": "every gradient is scaled to max_grad_norm, small ones too",
    "clip-without-last": "the last weight is left out of the norm and of the clip",
    "keeps-momentum": "a momentum of 0.9 acts, and its velocity lives on over calls",
    "weight-decay": "every update also shrinks the weights by one percent",
    "wrong-sign": "the gradient is added instead of taken away",
    "mean-over-iterations": "the updates of a call are divided by deviceIterations",
    "eight-iterations": "no device iteration after the eighth does an update",
    "carries-gradient": "a tenth of the last gradient is added to each one",
    "drops-last-iteration": "the last device iteration does no update",
    "runs-first-twice": "the first device iteration does its update twice",
    "repeats-first": "every device iteration is fed the first micro-batch",
    "inner-loss": "the loss is the first torch loss, so that what it was multiplied with is lost",
    "half-updates": "the weights are kept in float16 between updates",
    "noisy-forward": "the inputs get a little noise, other noise each time",
    "noisy-gradient": "every gradient gets a little noise before the update",
}
BUFFERS = {
    "buffers-forget": "every device iteration starts from the buffers that the call began with",
    "buffers-keep-first": "only what the first device iteration does to buffers is kept",
    "buffers-lose-last": "what the last device iteration does to buffers is lost",
    "buffers-eight": "what device iterations after the eighth do to buffers is lost",
    "buffers-twice": "what a device iteration does to buffers is done twice",
    "buffers-half": "buffers are kept in float16 between device iterations",
    "buffers-merged": "two buffers of one shape and the same numbers are taken for one",
}
TRAFFIC = {
    "dropped-output-mode": "outputMode is dropped and the default acts",
    "mean-for-sum": "outputMode(Sum) gives the mean",
    "shuffled-outputs": "outputs come back one iteration late, as a ring",
    "stale-weights": "copyWeightsToHost leaves the host as it was",
    "stale-device": "copyWeightsToDevice writes nothing after the first time",
    "stale-parameters": "copyWeightsToDevice writes buffers and leaves parameters after the first time",
    "stale-buffers": "copyWeightsToDevice writes parameters and leaves buffers after the first time",
    "swapped-weights": "copyWeightsToHost gives two weights of one shape each other's values",
}
FAILURES = {
    "no-sdk": "importing fails as it does without an enabled SDK",
    "wrong-torch": "importing fails as it does under another torch",
    "out-of-memory": "compiling fails for want of memory on a tile",
    "no-device": "no IPU can be had, IPU model or not",
    "hangs-at-compile": "compiling does not come back",
    "hangs": "the second call does not come back",
    "dies": "the second call ends the process as a segmentation fault would",
    "dies-later": "the twelfth call ends the process as a segmentation fault would",
    "nan": "the second call returns no numbers and trains none",
}
MUTANTS = {**ARITHMETIC, **BUFFERS, **TRAFFIC, **FAILURES}


def chosen():
    name = os.environ.get(VARIABLE, "")
    if name and name not in MUTANTS:
        raise ValueError("{}={}: there is no such mutant; there are {}".format(VARIABLE, name, ", ".join(MUTANTS)))
    return name


def acts(*names):
    return chosen() in names
