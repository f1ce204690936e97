"""The weight store: immutable versions, checksums, a pointer that moves last, several publishers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.weights import WeightStore, config_digest, local_path_below, open_model_dir


def model_dir(folder: Path, value: float = 1.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "lfm2", "hidden_size": 4}))
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": torch.full((4, 4), value)}, folder / "model.safetensors")
    return folder


def publish_many(root: Path, source: Path, count: int) -> None:
    store = WeightStore(root)
    for _ in range(count):
        store.publish(source)


def test_versions_count_up_and_the_pointer_names_the_last(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "store")
    assert store.current() is None
    numbers = [store.publish(model_dir(tmp_path / "m", value)).number for value in (1.0, 2.0, 3.0)]
    assert numbers == store.numbers() == [1, 2, 3]
    current = store.current()
    assert current is not None
    assert current.number == 3
    assert float(load_file(current.path / "model.safetensors")["weight"][0, 0]) == 3.0
    current.verify()


def test_a_state_dict_is_published_with_the_configuration_and_tokenizer_of_its_model(tmp_path: Path) -> None:
    like = model_dir(tmp_path / "like")
    (like / "manifest.json").write_text("not to be copied")
    embedding = torch.randn(3, 2)
    state = {"lm_head.weight": embedding, "embed.weight": embedding, "other": torch.zeros(2, requires_grad=True)}
    version = WeightStore(tmp_path / "store").publish(state, like=like, metadata={"step": 7}, dtype="bfloat16")
    stored = load_file(version.path / "model.safetensors")
    assert set(stored) == {"embed.weight", "other"}  # the tied head is the embedding
    assert stored["embed.weight"].dtype == torch.bfloat16
    assert set(version.manifest.files) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert version.manifest.metadata == {"step": "7"}


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_a_damaged_version_is_corrupt(tmp_path: Path, damage: str) -> None:
    store = WeightStore(tmp_path / "store")
    version = store.publish(model_dir(tmp_path / "m"))
    weights = version.path / "model.safetensors"
    data = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "truncate":
        weights.write_bytes(data[:-5])
    elif damage == "remove":
        weights.unlink()
    else:
        (version.path / "manifest.json").write_text("{}")
    with pytest.raises(Corrupt):
        store.get(1).verify()
    with pytest.raises(Corrupt):
        open_model_dir(version.uri)


def test_what_is_no_model_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "store")
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(InvalidInput):
            store.publish(source)
    with pytest.raises(InvalidInput):
        store.publish({"a": torch.zeros(1)})
    assert store.numbers() == []
    assert [path.name for path in store.root.iterdir() if path.name.startswith(".publishing")] == []


def test_publishers_in_several_processes_never_take_the_same_number(tmp_path: Path) -> None:
    source = model_dir(tmp_path / "m")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=publish_many, args=(tmp_path / "store", source, 8)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    store = WeightStore(tmp_path / "store")
    assert store.numbers() == list(range(1, 33))
    for number in store.numbers():
        store.get(number).verify()
    current = store.current()
    assert current is not None
    assert current.number == 32


def test_garbage_collection_keeps_the_newest_the_current_and_the_protected(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "store")
    publish_many(store.root, model_dir(tmp_path / "m"), 8)
    store.set_current(2)
    assert store.collect_garbage(keep=2, protect=[4]) == [1, 3, 5, 6]
    assert store.numbers() == [2, 4, 7, 8]
    assert store.publish(tmp_path / "m").number == 9


def test_the_pointer_can_move_back_but_only_to_what_exists(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "store")
    publish_many(store.root, model_dir(tmp_path / "m"), 2)
    store.set_current(1)
    current = store.current()
    assert current is not None
    assert current.number == 1
    with pytest.raises(NotFound):
        store.set_current(3)


async def test_a_watcher_sees_the_current_version_and_every_move(tmp_path: Path) -> None:
    store, source = WeightStore(tmp_path / "store"), model_dir(tmp_path / "m")
    seen: list[int] = []

    async def watch() -> None:
        async for version in store.watch(poll_seconds=0.01):
            seen.append(version.number)
            if version.number == 3:
                return

    task = asyncio.create_task(watch())
    for number in (1, 2, 3):
        store.publish(source)
        async with asyncio.timeout(5):
            while number not in seen:  # noqa: ASYNC110 (the watcher is what is tested)
                await asyncio.sleep(0.005)
    await task
    assert seen == [1, 2, 3]


def test_the_digest_ignores_who_wrote_the_configuration_but_not_what_it_says(tmp_path: Path) -> None:
    one, other = model_dir(tmp_path / "one"), model_dir(tmp_path / "other")
    (other / "config.json").write_text(
        json.dumps({"hidden_size": 4, "model_type": "lfm2", "transformers_version": "9", "dtype": "float32"})
    )
    assert config_digest(one) == config_digest(other)
    (other / "tokenizer.json").write_text('{"another": 1}')
    assert config_digest(one) != config_digest(other)


def test_a_remote_version_is_fetched_once_checked_and_kept(tmp_path: Path) -> None:
    import fsspec

    version = WeightStore(tmp_path / "store").publish(model_dir(tmp_path / "m"))
    remote = fsspec.filesystem("memory")
    remote.put(str(version.path), "/bucket/v000001", recursive=True)
    first = open_model_dir("memory://bucket/v000001", tmp_path / "cache")
    assert load_file(first / "model.safetensors")["weight"].shape == (4, 4)
    assert open_model_dir("memory://bucket/v000001", tmp_path / "cache") == first
    with remote.open("/bucket/v000001/tokenizer.json", "wb") as file:
        file.write(b"changed")
    with pytest.raises(Corrupt):
        open_model_dir("memory://bucket/v000001", tmp_path / "second-cache")
    with pytest.raises(NotFound):
        open_model_dir("memory://bucket/v000002", tmp_path / "cache")
    with pytest.raises(InvalidInput):
        open_model_dir("memory://bucket/v000001")


def test_only_what_resolves_below_the_root_is_below_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "v000001").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to(outside)
    assert local_path_below((root / "v000001").as_uri(), root) == root / "v000001"
    for uri in (
        outside.as_uri(), str(root), root.as_uri() + "/../outside", root.as_uri() + "/%2e%2e/outside",
        (root / "link").as_uri(), "s3://bucket/v1", "file://elsewhere" + str(root / "v000001"), str(root) + "-other/v1",
    ):  # fmt: skip
        assert local_path_below(uri, root) is None, uri
