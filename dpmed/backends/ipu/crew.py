"""Copies of the network side by side, one worker each: every one takes a part of the patients, nobody is taken twice.

Never replicas inside one program: PopTorch reduces their gradients before it clips, so that patients would be clipped
together.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np

from dpmed.backends.ipu.program import Arrays, Job, Program
from dpmed.data.tensors import PatientTensors

Answer = TypeVar("Answer")


class Crew:
    """So many programs as the flags ask for. If one fails, all are ended and its error is raised."""

    def __init__(self, job: Job) -> None:
        self._places, self._has_cache = job.flags.ipu_device_iterations, bool(job.flags.ipu_cache)
        self._programs: list[Program] = []
        try:
            for _ in range(job.flags.ipu_workers):
                self._programs.append(Program(job))
            self.versions: dict[str, Any] = self._all(Program.open)[0]
        except BaseException:
            self.close()
            raise

    @property
    def places(self) -> int:
        """How many patients all take together in one call."""
        return self._places * len(self._programs)

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace all weights, in every copy."""
        self._all(lambda program: program.load(arrays))

    def require_same_network(self, patient: PatientTensors) -> None:
        """Raise `DeviceError` where any copy is not the network here."""
        self._all(lambda program: program.require_same_network(patient))

    def compile(self, patient: PatientTensors) -> None:
        """Compile every copy, for patients of this one's shape."""
        self._all(lambda program: program.compile(patient))

    def test(self, patient: PatientTensors) -> None:
        """Compile and test every copy, for patients of this one's shape.

        With a folder for compiled programs the first copy goes ahead, so that the others find its program there.
        """
        ahead = 1 if self._has_cache else 0
        for some in (self._programs[:ahead], self._programs[ahead:]):
            self._all(lambda program: program.test(patient), some)

    def sums(self, patients: Sequence[PatientTensors]) -> list[tuple[Arrays, np.ndarray]]:
        """Sums and losses of each copy's part, in the order of the patients; parts may be of nobody."""
        parts = [patients[first : first + self._places] for first in range(0, self.places, self._places)]
        part_of = dict(zip(self._programs, parts, strict=True))
        return self._all(lambda program: program.sum(part_of[program]))

    def close(self) -> None:
        """Let all devices go."""
        for program in self._programs:
            program.close()

    def _all(self, do: Callable[[Program], Answer], some: Sequence[Program] | None = None) -> list[Answer]:
        """The answers of all programs, or some, asked at the same time, in the order of the programs."""
        programs = self._programs if some is None else some
        if len(programs) < 2:
            return [do(program) for program in programs]
        with ThreadPoolExecutor(len(programs)) as pool:
            asked = [pool.submit(do, program) for program in programs]
            try:
                done = wait(asked, return_when=FIRST_EXCEPTION).done
            except BaseException:
                self._kill()
                raise
            if any(one.exception() for one in done):
                self._kill()  # nobody waits for the others' answers
                raise next(error for one in asked if one in done and (error := one.exception()))
            return [one.result() for one in asked]

    def _kill(self) -> None:
        for program in self._programs:
            program.kill()
