"""The jobs by the prompt ids of their attempts, and by the servers that may have these prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.core.jobs.job import Attempt, Job
from app.events import PromptId, ServerName


class PromptIndex(Mapping[PromptId, Job]):
    """Maps prompt ids to jobs; what one server has is found without looking at the others."""

    def __init__(self) -> None:
        self._jobs: dict[PromptId, Job] = {}
        self._servers: dict[PromptId, ServerName] = {}
        self._at: dict[ServerName, dict[PromptId, Job]] = {}

    def __getitem__(self, prompt: PromptId) -> Job:
        return self._jobs[prompt]

    def __iter__(self) -> Iterator[PromptId]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def at(self, server: ServerName) -> Mapping[PromptId, Job]:
        """The prompts that this server may have, oldest first."""
        return self._at.get(server, {})

    def add(self, job: Job, attempt: Attempt) -> None:
        """Add the prompt of an attempt, or replace the job that had it."""
        self.remove(attempt.prompt)
        self._jobs[attempt.prompt] = job
        self._servers[attempt.prompt] = attempt.server
        self._at.setdefault(attempt.server, {})[attempt.prompt] = job

    def remove(self, prompt: PromptId) -> bool:
        """Remove a prompt; return whether it was there."""
        if self._jobs.pop(prompt, None) is None:
            return False
        del self._at[self._servers.pop(prompt)][prompt]
        return True

    def remove_job(self, job: Job) -> None:
        """Remove all prompts of a job."""
        for prompt in [prompt for prompt, other in self._jobs.items() if other is job]:
            self.remove(prompt)

    def in_flight(self, server: ServerName) -> Iterator[tuple[Job, Attempt]]:
        """Yield our jobs that a server has or is being sent, oldest attempt first."""
        for job, attempt in self._current(server):
            if job.in_flight and (not job.leftovers or job.leftover(attempt.prompt) is None):
                yield job, attempt

    def left_at(self, server: ServerName) -> Iterator[tuple[Job, Attempt]]:
        """Yield the attempts that were given up while this server might still have their prompts."""
        for prompt, job in self.at(server).items():
            # Almost no job has any, and this runs in every turn of the registry.
            if job.leftovers and (attempt := job.leftover(prompt)) is not None:
                yield job, attempt

    def occupying(self, server: ServerName) -> Iterator[tuple[Job, Attempt]]:
        """Yield everything of ours that occupies a slot of a server, with or without anybody waiting for it."""
        yield from self.in_flight(server)
        yield from self.left_at(server)

    def fetching(self, server: ServerName) -> Iterator[tuple[Job, Attempt]]:
        """Yield the jobs that a server has finished and whose results are not all here."""
        for job, attempt in self._current(server):
            if job.history is not None and job.terminal_update is None:
                yield job, attempt

    def _current(self, server: ServerName) -> Iterator[tuple[Job, Attempt]]:
        for prompt, job in self.at(server).items():
            if (attempt := job.attempt) is not None and attempt.prompt == prompt:
                yield job, attempt
