"""The same on a real Ray cluster: two nodes of one core on this machine."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import batch_tasks
import pytest
from PIL import Image

import vlae_codec
from vlae_codec import batch
from vlae_codec.files import Job

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]  # Ray's own are not ours to mend
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}  # bytes; the least that Ray takes is 75 MB


@pytest.fixture(scope="module")
def cluster() -> Iterator["ray.cluster_utils.Cluster"]:
    """Has one node."""
    from ray.cluster_utils import Cluster

    paths = [str(Path(module.__file__ or "").parents[up]) for module, up in ((vlae_codec, 1), (batch_tasks, 0))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_agent_register_timeout_ms", "120000")  # a busy machine needs more than by default
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        yield cluster
        cluster.shutdown()


@pytest.fixture
def second(cluster: "ray.cluster_utils.Cluster") -> Iterator[Callable[[], None]]:
    """Another node; call it to kill that."""
    nodes = [cluster.add_node(**NODE)]

    def kill() -> None:
        cluster.remove_node(nodes.pop(), allow_graceful=False)

    yield kill
    if nodes:
        kill()


def make_jobs(folder: Path, texts: list[str]) -> list[Job]:
    jobs = [Job(str(folder / f"{number}.png"), str(folder / f"{number}.vlae")) for number in range(len(texts))]
    for job, text in zip(jobs, texts, strict=True):
        Path(job.source).write_text(text)
    return jobs


def test_when_a_node_is_lost_no_file_is(
    cluster: "ray.cluster_utils.Cluster", second: Callable[[], None], tmp_path: Path
) -> None:
    texts = [f"meet {tmp_path}"] * 2 + ["slow"] * 8 + ["bad", "warn"]
    jobs, found = make_jobs(tmp_path, texts), []
    for outcome in batch.outcomes(batch.Order(batch_tasks.copy), jobs, ray=cluster.address):
        if not found:  # both nodes are at work
            second()
        found.append(outcome)
    outcomes = {outcome.job: outcome for outcome in found}
    assert len(found) == len(jobs) and set(outcomes) == set(jobs)
    assert [outcomes[job].exit_code for job in jobs] == [0] * 10 + [3, 0]
    assert all(Path(job.target).read_text() == text * 2 for job, text in zip(jobs, texts, strict=True) if text != "bad")
    assert outcomes[jobs[-1]].warnings == ("odd tag",)
    assert {outcome.record["threads"] for outcome in found if not outcome.exit_code and not outcome.skipped} == {"1"}


def test_a_file_whose_actor_dies_is_tried_again_but_not_for_ever(
    cluster: "ray.cluster_utils.Cluster", tmp_path: Path
) -> None:
    jobs = make_jobs(tmp_path, [f"die once {tmp_path / 'flag'}", "die", "1"])
    outcomes = {o.job: o for o in batch.outcomes(batch.Order(batch_tasks.copy), jobs, ray=cluster.address)}
    assert [outcomes[job].exit_code for job in jobs] == [0, 1, 0]
    assert f"{jobs[1].source}: 4 Ray actors were lost with it" in outcomes[jobs[1]].text


def test_the_command_codes_pictures_on_a_cluster_by_urls(
    cluster: "ray.cluster_utils.Cluster",
    second: Callable[[], None],
    tmp_path: Path,
    vlae: Callable[..., tuple[int, str, str]],
) -> None:
    for name in ("a", "s/b", "s/c"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.radial_gradient("L").crop((64, 64, 128, 112)).save(tmp_path / "in" / f"{name}.png")
    coded, decoded = (tmp_path / "coded").as_uri(), (tmp_path / "decoded").as_uri()
    for command in (["encode", (tmp_path / "in").as_uri(), "-o", coded], ["decode", coded, "-o", decoded]):
        code, out, err = vlae(*command, "-r", "--json", "--ray", cluster.address)
        assert code == 0 and "vlae:" not in err and len(out.splitlines()) == 3  # Ray may tell of lost nodes
        assert {json.loads(line)["width"] for line in out.splitlines()} == {64}
    assert sorted(str(path.relative_to(tmp_path / "decoded")) for path in (tmp_path / "decoded").rglob("*.png")) == [
        "a.png",
        "s/b.png",
        "s/c.png",
    ]
