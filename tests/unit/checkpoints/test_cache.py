import hashlib
import os
from pathlib import Path

import pytest

from refvid.checkpoints import cache as caches
from refvid.checkpoints.cache import Cache, EntryRecord, hash_file
from refvid.errors import CheckpointUnavailable
from refvid.progress import Transfer


def test_hashes_are_remembered_until_the_file_changes(tmp_path, cache, monkeypatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"text")
    seen: list[Transfer] = []
    expected = hashlib.sha256(b"text").hexdigest()
    assert cache.sha256(path, seen.append) == expected
    assert seen == [Transfer("checking a", 4, 4)]
    with monkeypatch.context() as patch:
        patch.setattr(caches, "hash_file", None)
        assert cache.sha256(path) == expected
    path.write_bytes(b"texT")
    os.utime(path, ns=(0, 0))
    assert cache.known_sha256(path) is None
    assert cache.sha256(path) != expected
    assert cache.sha256(path, fresh=True) == hash_file(path)


def test_records_hold_for_one_revision(cache) -> None:
    record = EntryRecord(revision="0123456", sha256="a", size=3)
    assert cache.record("x", "0123456") is None
    cache.write_record("x", record)
    assert cache.record("x", "0123456") == record
    assert cache.record("x", "6543210") is None
    for damage in ("", "[1]", "{}", "nonsense", '{"revision": 1}'):
        (cache.folder / "records" / "x.json").write_text(damage)
        assert cache.record("x", "0123456") is None


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"text")
    cache = Cache(path)  # a file where a folder should be
    assert cache.sha256(path) == hashlib.sha256(b"text").hexdigest()
    with pytest.raises(CheckpointUnavailable, match="REFVID_CACHE"):
        cache.write_record("x", EntryRecord(revision="0123456", sha256="a", size=3))
    with pytest.raises(CheckpointUnavailable, match="Cannot read"):
        hash_file(tmp_path)


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REFVID_CACHE", str(tmp_path))
    assert Cache.default() == Cache(tmp_path)
    monkeypatch.delenv("REFVID_CACHE")
    assert Cache.default().folder.name == "refvid"
