"""How files are given to the actors of a cluster, with a stand-in for ray whose actors die as they are told."""

from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import batch_tasks
import pytest

import vlae_codec
from vlae_codec.batch import Order
from vlae_codec.batch.cluster import Attempt, Worker, _Crew
from vlae_codec.errors import CodecError, UsageError
from vlae_codec.files import Job


class RayError(Exception):
    """What every loss of an actor raises."""


class FakeRay:
    """Two cores; each answer is a function, called when it is fetched. `losses`: names of files, one for each loss."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, losses: list[str], version: str = vlae_codec.__version__):
        self.losses, self.installed, self.most_waiting = losses, version, 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, **_options: Any) -> Any:
        return lambda _class: SimpleNamespace(remote=self._actor)

    def _actor(self) -> Any:
        version = SimpleNamespace(remote=lambda: lambda: self._version())
        return SimpleNamespace(version=version, perform=SimpleNamespace(remote=lambda *task: lambda: self._work(*task)))

    def _version(self) -> str:
        if "start" in self.losses:
            raise RayError("no vlae_codec here")
        return self.installed

    def _work(self, order: Order, job: Job) -> Any:
        outcome = Worker().perform(order, job)
        if Path(job.source).name in self.losses:  # after its output was written
            self.losses.remove(Path(job.source).name)
            raise RayError("the node is gone")
        return outcome

    def wait(self, references: list[Any], **_options: Any) -> tuple[list[Any], list[Any]]:
        self.most_waiting = max(self.most_waiting, len(references))
        return references[:1], references[1:]

    def get(self, reference: Any) -> Any:
        return reference()

    def kill(self, _actor: Any) -> None:
        pass


def outcomes(ray: FakeRay, folder: Path) -> dict[str, Any]:
    jobs = [Job(str(folder / f"{name}.png"), str(folder / f"{name}.vlae")) for name in "abcdef"]
    for job in jobs:
        Path(job.source).write_text("1")
    found = list(_Crew(ray, Order(batch_tasks.copy), None).outcomes(deque(map(Attempt, jobs))))
    assert sorted(o.job for o in found) == jobs
    return {Path(outcome.job.source).stem: outcome for outcome in found}


@pytest.fixture(autouse=True)
def one_thread_stays_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlae_codec.batch.cluster.one_thread", lambda: None)


def test_files_of_lost_actors_are_tried_again_and_what_they_had_written_is_no_failure(tmp_path: Path) -> None:
    found = outcomes(FakeRay(["a.png", "c.png", "c.png", "c.png"]), tmp_path)
    assert {name for name, outcome in found.items() if outcome.exit_code} == set()
    assert {path.read_text() for path in tmp_path.glob("*.vlae")} == {"11"}


def test_a_file_with_which_four_actors_are_lost_fails_and_the_others_go_on(tmp_path: Path) -> None:
    found = outcomes(FakeRay(["b.png"] * 4), tmp_path)
    assert {name for name, outcome in found.items() if outcome.exit_code} == {"b"}
    assert "b.png: 4 Ray actors were lost with it: the node is gone" in found["b"].text


def test_no_more_files_are_in_flight_than_there_are_cores(tmp_path: Path) -> None:
    ray = FakeRay([])
    outcomes(ray, tmp_path)
    assert ray.most_waiting == 2


def test_actors_that_do_not_start_or_have_another_version_end_the_batch(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=r"6 Ray actors were lost before they were ready: no vlae_codec here"):
        outcomes(FakeRay(["start"]), tmp_path)
    with pytest.raises(UsageError, match=r"a node of the cluster has vlae-codec 0\.0; .* wanted, as here"):
        outcomes(FakeRay([], version="0.0"), tmp_path)
