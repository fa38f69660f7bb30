from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.distribution.shards import Shard, parse_shard
from refvid.errors import OptionError


@given(st.lists(st.integers()), st.integers(1, 20))
def test_all_parts_together_hold_every_item_once(items, count):
    parts = [parse_shard(f"{index}/{count}", {}).part_of(items) for index in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


def slurm(task, first, last, step=1):
    return {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_STEP": str(step),
        "SLURM_ARRAY_TASK_COUNT": str((last - first) // step + 1),
    }


@pytest.mark.parametrize(
    ("environ", "shard"),
    [
        ({"RANK": "0", "WORLD_SIZE": "4"}, Shard(0, 4)),
        ({"RANK": "3", "WORLD_SIZE": "4"}, Shard(3, 4)),
        (slurm(0, 0, 9), Shard(0, 10)),
        (slurm(10, 1, 10), Shard(9, 10)),
        (slurm(30, 10, 40, step=10), Shard(2, 4)),
        # What SLURM says is nearer than what a launcher within its task does.
        ({**slurm(2, 1, 2), "RANK": "0", "WORLD_SIZE": "1"}, Shard(1, 2)),
    ],
)
def test_auto_asks_the_scheduler(environ, shard):
    assert parse_shard("auto", environ) == shard


@pytest.mark.parametrize(
    ("word", "environ", "message"),
    [
        ("0/4", {}, "write 1/4 to 4/4"),
        ("5/4", {}, "write 1/4 to 4/4"),
        ("2", {}, "write 1/4 to 4/4"),
        ("auto", {}, "neither SLURM_ARRAY_TASK_ID nor RANK"),
        ("auto", {"RANK": "1"}, "WORLD_SIZE is ''"),
        ("auto", {"RANK": "4", "WORLD_SIZE": "4"}, "RANK is 4, but there are 4 parts"),
        ("auto", {"RANK": "x", "WORLD_SIZE": "4"}, "RANK is 'x'"),
        # --array=1,3,7: three parts, of which nobody can tell which one 7 is.
        ("auto", {**slurm(7, 1, 7), "SLURM_ARRAY_TASK_COUNT": "3"}, "have gaps"),
    ],
)
def test_what_is_no_part_is_refused(word, environ, message):
    with pytest.raises(OptionError, match=message):
        parse_shard(word, environ)


def test_the_environment_counts_only_where_it_is_asked_for():
    assert parse_shard("1/2", slurm(2, 1, 2)) == Shard(0, 2)
