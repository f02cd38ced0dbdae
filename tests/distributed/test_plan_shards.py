"""A plan is cut into shards and its answers joined without loss; workers are sized by what the machines have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.correspondence.plan import MatchResult, Plan
from soco_datasets.distributed.cluster import WorkerPoolSpec, pool_spec_for
from soco_datasets.distributed.plan_shards import (
    MergedMatches,
    cut_images,
    matching_shard,
    sampling_shard,
    shard_ranges,
)
from soco_datasets.errors import UsageError


def plan_of(seed: int, images: int, points: int, queries: int) -> Plan:
    """A plan as `make_plan` orders it: points by image, matches by target and point, choices by match."""
    generator = np.random.default_rng(seed)
    point_image = np.sort(generator.integers(0, images, points))
    asked = generator.integers(0, images, queries) * points + generator.integers(0, points, queries)
    matches, query_match = np.unique(asked, return_inverse=True)
    choosing = np.flatnonzero(generator.random(queries) < 0.5)
    choosing = choosing[np.argsort(query_match[choosing], kind="stable")]
    return Plan(
        images=np.sort(generator.choice(10 * images, images, replace=False)),
        square_sides=generator.integers(50, 100, images),
        valid_extent=generator.integers(1, 9, (images, 2)),
        point_image=point_image,
        points=generator.random((points, 2)),
        match_point=matches % points,
        match_target=matches // points,
        query_match=query_match,
        candidate_query=choosing,
        candidates=generator.integers(0, 64, (len(choosing), 3)),
        task_slices={},
        task_matchers=dict(enumerate(["argmax", "soft", "candidates"][: 1 + seed % 3])),  # type: ignore[arg-type]
    )


def answer(plan: Plan) -> MatchResult:
    """An answer to everything that a matcher sees: each depends on its target, its point and what is asked."""
    row, side = plan.images[plan.match_target], plan.square_sides[plan.match_target]
    cell = row * 1000 + plan.match_point + plan.valid_extent[plan.match_target, 0]
    choice = cell[plan.candidate_match] * 10 + plan.candidates.sum(axis=1)
    positions = {
        "argmax": np.column_stack([cell, side]),
        "soft": np.column_stack([cell, side]).astype(np.float32),
        "candidates": np.column_stack([choice, plan.candidates[:, 0]]),
    }
    kept = {name: positions[name] for name in plan.matchers}
    return MatchResult(kept, {name: found[:, 0].astype(np.float32) for name, found in kept.items()})


@given(
    st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 60), st.integers(0, 200), st.integers(1, 45), st.randoms()
)
def test_shares_ask_everything_once_and_join_to_the_whole(seed, images, points, queries, size, random) -> None:
    plan = plan_of(seed, images, points, queries)
    ranges = [slice(start, min(start + size, images)) for start in range(0, images, size)]
    spans = [shard_ranges(plan, part) for part in ranges]
    sampled = [sampling_shard(plan, own) for own in spans]
    assert np.array_equal(np.concatenate([part.points for part in sampled]), plan.points)
    where = np.concatenate([part.images[part.point_image] for part in sampled])
    assert np.array_equal(where, plan.images[plan.point_image])
    random.shuffle(spans)
    joined = MergedMatches(plan)
    for own in spans:
        joined.put(own, answer(matching_shard(plan, own)))
    wanted = answer(plan)
    for found, expected in ((joined.found.positions, wanted.positions), (joined.found.similarity, wanted.similarity)):
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert all(found[name].dtype == expected[name].dtype for name in expected)


@given(st.integers(0, 10**5), st.integers(1, 200))
def test_every_image_is_in_one_share_and_no_worker_is_left_without(images: int, workers: int) -> None:
    shards = cut_images(images, workers)
    assert [image for part in shards for image in range(part.start, part.stop)] == list(range(images))
    sizes = {part.stop - part.start for part in shards[:-1]}
    assert len(sizes) <= 1
    assert len(shards) * max(sizes, default=0) >= images - max(sizes, default=images)
    if sizes:
        assert max(sizes) <= max(32, -(-images // workers))
        assert len(shards) <= 16 * workers


def test_the_cluster_decides_how_many_workers_there_are() -> None:
    uneven = [{"CPU": 6.0}, {"CPU": 2.0}, {"memory": 1e9}]
    assert pool_spec_for(uneven, 2) == WorkerPoolSpec(count=2, cpus=3, gpus=0, per_machine=2)
    assert pool_spec_for(uneven, None, cpus=1) == WorkerPoolSpec(count=8, cpus=1, gpus=0, per_machine=6)
    assert pool_spec_for([{"CPU": 2.0}], None) == WorkerPoolSpec(count=1, cpus=2, gpus=0, per_machine=1)
    graphics = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]
    assert pool_spec_for(graphics, None, device="cuda") == WorkerPoolSpec(count=3, cpus=1, gpus=1, per_machine=2)
    assert pool_spec_for(graphics, 1, device="auto") == WorkerPoolSpec(count=1, cpus=1, gpus=1, per_machine=1)
    assert pool_spec_for(graphics, None, device="cpu").gpus == 0
    for nodes, workers, device, message in (
        (uneven, 9, "cpu", "9 workers need a core each, but the Ray cluster has 8"),
        (graphics, 4, "auto", "4 workers need a GPU each, but the Ray cluster has 3"),
        (uneven, None, "cuda", "has no GPU"),
        (graphics, None, "cuda:1", "give cuda, cpu or auto, not 'cuda:1'"),
    ):
        with pytest.raises(UsageError, match=message):
            pool_spec_for(nodes, workers, device=device)
