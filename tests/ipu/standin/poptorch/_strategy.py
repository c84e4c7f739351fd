"""Which block of the model runs on which IPU, and whether the blocks form a pipeline."""

from . import enums


class Stage:
    def __init__(self, *block_ids):
        assert all(isinstance(block, str) for block in block_ids), f"Block IDs are strings, not {block_ids}"
        self._blocks = block_ids
        self._stage_id = -1
        self._ipu = None

    @property
    def blocks(self):
        return self._blocks

    def ipu(self, ipu):
        assert isinstance(ipu, int)
        self._ipu = ipu
        return self


class PipelinedExecution:
    """The default. Stages given by name, or one stage for each IPU that a block asks for."""

    pipelined = True

    def __init__(self, *args):
        self._auto = enums.AutoStage.SameAsIpu
        self._stages = {}
        if len(args) == 1 and isinstance(args[0], enums.AutoStage):
            self._auto = args[0]
            return
        for number, given in enumerate(args):
            stage = given if isinstance(given, Stage) else Stage(*([given] if isinstance(given, str) else given))
            stage._stage_id = number
            for block in stage.blocks:
                assert block not in self._stages, f"{block} associated with more than one stage"
                self._stages[block] = stage

    def stage(self, block_id):
        assert block_id in self._stages, f"Unknown block {block_id}"
        return self._stages[block_id]

    def backendOptions(self):
        return {"execution_mode": 0 if self.pipelined else 1}

    def place(self, block_id, ipu_id, seen):
        """Return the stage and the IPU of a block; `seen` maps the blocks met so far in this trace to their stages."""
        if self._stages:
            assert block_id in self._stages, f"Unknown Block '{block_id}' list of expected Blocks: {list(self._stages)}"
            stage = self._stages[block_id]
            number, chosen = stage._stage_id, stage._ipu
        elif self._auto == enums.AutoStage.SameAsIpu:
            assert ipu_id is not None, f"AutoStage.SameAsIpu was selected but no IPU was specified for block {block_id}"
            number, chosen = seen.setdefault(block_id, ipu_id), None
        else:
            number, chosen = seen.setdefault(block_id, len(seen) + 1), None
        return number, next(ipu for ipu in (chosen, ipu_id, number) if ipu is not None)


class ShardedExecution(PipelinedExecution):
    """One block after the other, each on its IPU, with no pipeline and so no need to accumulate."""

    pipelined = False
