from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import groups, same, trajectory

from agentgym.faults import DataError
from agentgym.rewards.table import RewardTable
from agentgym.store import EpisodeWriter, episode_files, read_episodes, read_groups, write_groups
from agentgym.trajectory import Group


def group(group_id: str = "g0", size: int = 2, turns: int = 3) -> Group:
    return Group(group_id, "t0", [trajectory(turns, i, group_id) for i in range(size)])


@given(made=groups(), update=st.none() | st.integers(0, 2**40), data=st.data())
@settings(max_examples=40)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, made, update, data) -> None:
    path = tmp_path_factory.mktemp("store") / "x.parquet"
    lengths = [len(t.turns) for g in made for t in g.trajectories]
    numbers = st.lists(st.floats(allow_nan=False), min_size=sum(lengths), max_size=sum(lengths))
    advantages = data.draw(st.none() | numbers)
    write_groups(path, made, update=update, advantages=advantages)
    back = list(read_groups(path))
    assert [(g.id, g.task_id, len(g)) for g in back] == [(g.id, g.task_id, len(g)) for g in made]
    for one, two in zip(made, back, strict=True):
        for a, b in zip(one.trajectories, two.trajectories, strict=True):
            same(a, b)
            b.tokens[:] = 0  # arrays are the reader's own
    episodes = list(read_episodes(path))
    assert all(e.update == update and e.rewards is None for e in episodes)
    if advantages is None:
        assert all(e.advantages is None for e in episodes)
    else:
        assert [a for e in episodes for a in e.advantages or []] == advantages
        assert [len(e.advantages or []) for e in episodes] == lengths


def test_stored_groups_give_the_same_reward_table(tmp_path: Path) -> None:
    made = [group("a"), group("b", 3, 5)]
    write_groups(tmp_path / "x.parquet", made)
    one, two = RewardTable.from_groups(made), RewardTable.from_groups(read_groups(tmp_path / "x.parquet"))
    assert np.array_equal(one.offsets, two.offsets)
    assert np.array_equal(one.outcome, two.outcome)
    assert np.array_equal(one.part("looked"), two.part("looked"))
    assert np.array_equal(one.state, two.state)


def test_plain_columns_need_no_agentgym(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_groups(path, [group()], update=12, advantages=np.arange(6.0), rewards=np.ones(6))
    table = pq.read_table(path)
    types = {f.name: f.type for f in table.schema}
    assert types["tokens"] == pa.list_(pa.int32())
    assert types["logprobs"] == pa.list_(pa.float32())
    assert types["turn"] == pa.list_(pa.int16())
    assert types["advantages"] == types["rewards"] == pa.list_(pa.float64())
    rows = table.to_pylist(maps_as_pydicts="strict")
    assert rows[1]["update"] == 12
    assert rows[1]["advantages"] == [3.0, 4.0, 5.0]
    assert rows[0]["turns"][2]["outcome"] == 1.0
    assert rows[0]["turns"][0]["outcome"] is None
    assert rows[0]["turns"][0]["process"] == {"looked": 0.5}
    assert rows[0]["turns"][0]["action"] == '{"actions": []}'
    assert rows[0]["messages"] == [{"role": "user", "content": "find it", "turn": -1}]
    assert pc.sum(pc.list_value_length(table["tokens"])).as_py() == 2 * 11


def test_lone_surrogates_become_their_escape(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    odd = trajectory(1, messages=[{"role": "user", "content": "a \ud800 b é", "turn": -1}], final_state_key="\udfff")
    odd.turns[0].action = {"actions": [{"name": "enter", "args": {"code": "\ud800"}}]}
    write_groups(path, [Group("g0", "t0", [odd])])
    back = next(read_groups(path)).trajectories[0]
    assert back.messages[0]["content"] == "a \\ud800 b é"
    assert back.final_state_key == "\\udfff"
    assert back.turns[0].action == odd.turns[0].action  # JSON text carries it exactly


def test_writer_names_and_replaces_files(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "episodes")
    assert writer.write("train", 12, [group()], np.zeros(6)).name == "train-000012.parquet"
    writer.write("train", 2, [group("b", 1)])
    writer.write("eval", 12, [group("c", 1)])
    writer.write("train", 2, [group("d", 4)])
    (tmp_path / "episodes" / ".train-000013.parquet.77.tmp").write_bytes(b"a killed writer's")
    assert [p.name for p in episode_files(tmp_path / "episodes")] == [
        "eval-000012.parquet",
        "train-000002.parquet",
        "train-000012.parquet",
    ]
    assert [g.id for g in read_groups(tmp_path / "episodes")] == ["c", "d", "g0"]
    assert [e.update for e in read_episodes(tmp_path / "episodes")] == [12, 2, 2, 2, 2, 12, 12]
    with pytest.raises(ValueError, match="lower-case word"):
        writer.write("../x", 1, [group()])


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    write_groups(path, [group()])
    before = path.read_bytes()

    def full(table: pa.Table, where: Path, **options: object) -> None:
        Path(where).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_groups(path, [group("b")])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        ([Group("g0", "t0", [])], {}, "is empty"),
        ([group(), group()], {}, "comes twice"),
        ([Group("g1", "t0", [trajectory()])], {}, "not an episode of group 'g1'"),
        ([Group("g0", "other", [trajectory()])], {}, "task 'other'"),
        ([group()], {"advantages": [0.0] * 5}, r"advantages must have the shape \(6,\), one a turn"),
        ([group()], {"rewards": np.zeros((2, 3))}, r"it has \(2, 3\)"),
        ([Group("g0", "t0", [trajectory(messages=[{"role": "user", "content": ""}])])], {}, "a message has the keys"),
        (
            [Group("g0", "t0", [trajectory(messages=[{"role": "u", "content": "", "turn": 0, "api_key": "s"}])])],
            {},
            "k",
        ),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, made, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_groups(tmp_path / "x.parquet", made, **options)
    assert not list(tmp_path.iterdir())


def test_damage_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(DataError, match=r"x\.parquet: no such file"):
        list(read_groups(path))
    with pytest.raises(DataError, match="no Parquet file"):
        list(read_groups(tmp_path))
    path.write_text("hello, I am text", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.parquet: damaged Parquet"):
        list(read_groups(path))
    pq.write_table(pa.table({"tokens": [1, 2]}), path)
    with pytest.raises(DataError, match=r"x\.parquet: a Parquet file, but not of episodes"):
        list(read_groups(path))
    write_groups(path, [group()])
    whole = path.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"x\.parquet: damaged Parquet"):
            list(read_groups(path))


def rewrite(path: Path, change) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def test_the_first_schema_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_groups(path, [group()], update=3)

    def first(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("turns")
        old = [field for field in table.schema.field("turns").type.value_type if field.name != "changes"]
        kept = [
            [{k: v for k, v in turn.items() if k != "changes"} for turn in row]
            for row in table["turns"].to_pylist(maps_as_pydicts="strict")
        ]
        kind = pa.list_(pa.struct(old))
        column = pa.array([[{**t, "process": list(t["process"].items())} for t in row] for row in kept], kind)
        table = table.set_column(at, pa.field("turns", kind, nullable=False), column)
        return table.replace_schema_metadata({b"agentgym.episodes": b"1"})

    rewrite(path, first)
    (back,) = read_groups(path)
    for one, two in zip(group().trajectories, back.trajectories, strict=True):
        same(one, two)


def test_other_schemas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_groups(path, [group()])
    rewrite(path, lambda t: t.replace_schema_metadata({b"agentgym.episodes": b"999"}))
    with pytest.raises(DataError, match="schema 999; this version reads schema 2"):
        list(read_groups(path))
    write_groups(path, [group()])
    rewrite(path, lambda t: t.drop_columns(["seed"]))
    with pytest.raises(DataError, match="columns are not those"):
        list(read_groups(path))


def test_an_inconsistent_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_groups(path, [group()])

    def shorten(table: pa.Table) -> pa.Table:
        tokens = table["tokens"].to_pylist()
        tokens[1], kind = tokens[1][:-1], table["tokens"].type
        return table.set_column(
            table.schema.get_field_index("tokens"), table.schema.field("tokens"), pa.array(tokens, kind)
        )

    rewrite(path, shorten)
    with pytest.raises(DataError, match=r"x\.parquet: row 1: .*differ in length"):
        list(read_groups(path))
    write_groups(path, [group()])
    rewrite(path, lambda t: t.set_column(0, pa.field("episode_id", pa.string()), pa.array([None, "x"])))
    with pytest.raises(DataError, match="columns are not those"):
        list(read_groups(path))


def test_flipped_bytes_never_pass_for_episodes(tmp_path: Path) -> None:
    """Checksums catch what compression and structure do not."""
    path = tmp_path / "x.parquet"
    made = [group("g0", 8)]
    write_groups(path, made, update=1)
    whole = path.read_bytes()
    rng = random.Random(0)
    messages = []
    for _ in range(150):
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        try:
            back = list(read_groups(path))
        except DataError as error:
            messages.append(str(error))
            continue
        for a, b in zip(made[0].trajectories, back[0].trajectories, strict=True):
            same(a, b)
    assert len(messages) > 50
    assert all("x.parquet" in message and "\n" not in message for message in messages)
