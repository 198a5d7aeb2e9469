from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import repairs  # registers the source "repairs"
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandboxes import need

from agentgym.actions import Action
from agentgym.envs.swe.env import SweEnv
from agentgym.envs.swe.measuring import sandbox_spec
from agentgym.envs.swe.prompts import own_texts
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.rewards.audit import audit, play
from agentgym.rewards.outcome.swe_tests import score_swe_tests
from agentgym.rewards.shaping import build_stages
from agentgym.tools.sandbox.pool import shared_pool
from agentgym.trajectory import Group
from agentgym.validate import validate

AREAS, NAMES = "shapes/areas.py", "shapes/names.py"
Started = Callable[..., SweEnv]


@pytest.fixture
def started() -> Iterator[Started]:
    """Makes an environment over `repairs.Repairs` and begins a task."""
    made: list[SweEnv] = []

    def start(task: str = "double", **options: Any) -> SweEnv:
        if task != "single":
            need("docker")
        env = SweEnv("repairs", **{"pool_size": 4, **options})
        made.append(env)
        env.reset(options={"task": task})
        return env

    yield start
    for env in made:
        env.close()


def act(env: SweEnv, name: str, **args: str) -> tuple[str, dict[str, float], float | None]:
    """(observation, process parts but for zeros and seconds, outcome) of one action."""
    observation, *_, info = env.step(env.parser.render([Action(name, args)]))
    parts = {k: v for k, v in info["signal"].process.items() if v and not k.endswith("_s")}
    return observation, parts, info["signal"].outcome


def finish(env: SweEnv) -> float:
    """The outcome when the expert goes on from here."""
    for _ in range(env.turns_left):
        *_, terminated, truncated, info = env.step(env.expert())
        if terminated or truncated:
            return info["signal"].outcome or 0.0
    raise AssertionError


# -- Gymnasium ---------------------------------------------------------------------------------------------------------


def test_check_env() -> None:
    need("docker")
    env = gymnasium.make("agentgym/Swe-v0", source="repairs", only=["double"], render_mode="ansi")
    check_env(env.unwrapped, skip_render_check=False)
    assert isinstance(env.unwrapped, SweEnv)
    env.close()


def test_every_task_stands_validation_without_tests_of_its_own() -> None:
    need("docker")
    env = SweEnv("repairs", only=["two"], actions=["view", "edit", "submit"])
    report = validate(env)
    assert [str(failure) for failure in report.failures] == []
    assert (report.checked["train"], report.expert_turns) == (1, 5.0)
    env.close()


# -- the episode -------------------------------------------------------------------------------------------------------


def test_an_episode_fact_by_fact(started: Started) -> None:
    env = started("two")
    assert env.turns_left == 3 * 2 + 3 + 8
    assert act(env, "view", path="") == ("\n".join(repairs.MENDED), {}, None)
    assert act(env, "search", text="def double") == (f"{AREAS}:12:def double(x):", {}, None)
    observation, parts, _ = act(env, "view", path=AREAS, lines="double")
    assert observation == '12 def double(x):\n13     """Twice as much."""\n14     return 3 * x\n[lines 12-14 of 22]'
    assert parts == {"file": 0.5, "function": 0.5}
    assert act(env, "view", path=AREAS, lines="double")[1] == {"repeat": 1.0}
    assert act(env, "view", path=AREAS, lines="1-5")[1] == {}
    observation, parts, _ = act(env, "test")
    assert parts == {"reproduced": 1.0}
    assert observation.startswith("F...F.\n")
    assert observation.endswith("2 failed, 4 passed in 0s")
    assert "FAILED tests/test_areas.py::test_double - assert 12 == 8" in observation
    assert act(env, "edit", path=AREAS, old="return 3 * x", new="return 2 * x") == (
        f"replaced in {AREAS}, line 14",
        {"edit": 1.0},
        None,
    )
    assert act(env, "test", ids="tests/test_areas.py")[0] == "....\n4 passed in 0s"
    assert act(env, "edit", path=NAMES, old="first[0] + first[0]", new="first[0] + last[0]")[1] == {}
    observation, parts, outcome = act(env, "submit")
    assert (observation, outcome) == ("Right.", 1.0)
    assert parts == {
        "submitted": 1.0,
        "sound": 1.0,
        "fail_to_pass": 1.0,
        "pass_to_pass": 1.0,
        "progress": 1.0,
        "patch_similarity": 1.0,
        "patch_size": 4.0,
        "patch_files": 2.0,
    }


def test_neither_the_mending_nor_heldback_tests_are_found_inside(started: Started) -> None:
    env = started()
    for secret in ("def test_more", "heldback", "return 2 * x"):
        places = "/workspace /tmp /dev/shm /var /etc /home /opt /srv /root /proc/*/environ"
        said = act(env, "bash", command=f"grep -rlF '{secret}' {places} 2>/dev/null")[0]
        assert "/" not in said
    assert "/" in act(env, "bash", command="grep -rlF 'return 3 * x' /workspace")[0]
    assert act(env, "bash", command="ls -dA .git heldback 2>/dev/null")[0] == "(no output)\n[exit status 2]"


def test_what_is_shown_is_bounded_and_says_so(started: Started) -> None:
    env = started(observation_lines=6, observation_chars=300)
    assert act(env, "bash", command="seq 50; exit 2")[0].split("\n") == [
        *["1", "2", "3", "[44 lines cut]", "48", "49", "50", "[exit status 2]"]
    ]
    assert act(env, "view", path=AREAS)[0].endswith("[lines 1-6 of 22]")
    assert act(env, "view", path="")[0].endswith("[1 more files]")
    assert "characters cut]" in act(env, "bash", command="printf 'x%.0s' $(seq 400); echo; seq 3")[0]
    assert act(env, "bash", command="true")[0] == "(no output)"
    assert act(env, "search", text="nowhere to be found")[0] == "nothing found"
    env = started(command_timeout_s=0.5)
    assert act(env, "bash", command="echo a; sleep 20")[0] == "a\n[it ran too long and was ended]"


def test_what_a_command_shows_counts_too(started: Started) -> None:
    env = started()
    assert act(env, "bash", command=f"sed -n 8,20p {AREAS}")[1] == {"file": 1.0, "function": 1.0}
    script = "from shapes.areas import double; assert double(1) == 2"
    assert act(env, "bash", command=f'python3 -c "{script}"')[1] == {}  # the fault is not in the traceback
    assert act(env, "bash", command="python3 -m pytest -q; true")[1] == {}
    assert act(env, "bash", command="python3 -m pytest -q")[1] == {"reproduced": 1.0}


def test_verdicts(started: Started) -> None:
    env = started(max_turns=20)
    assert act(env, "judge", verdict="yes") == ("Error: there is no result to judge", {"format": -1.0}, None)
    for action, args, truth in (
        ("view", {"path": NAMES}, "no"),
        ("view", {"path": AREAS, "lines": "double"}, "yes"),
        ("search", {"text": "return 3 * x"}, "yes"),
        ("search", {"text": "text.upper"}, "no"),
        ("test", {}, "no"),
        ("test", {"ids": "tests/test_names.py"}, "no"),  # they pass, and say nothing of the fault
    ):
        act(env, action, **args)
        assert act(env, "judge", verdict=truth)[1] == {"judge": 1.0}
    act(env, "edit", path=AREAS, old="3 * x", new="2 * x")
    assert act(env, "judge", verdict="yes")[1] == {"format": -1.0}
    act(env, "test", ids="tests/test_areas.py::test_double")
    assert act(env, "judge", verdict="no")[1] == {"judge": -1.0}


def test_costs(started: Started) -> None:
    env = started()
    for name, args, reason in (
        ("view", {"path": "nowhere.py"}, "there is no file nowhere.py"),
        ("view", {"path": "/etc/passwd"}, "outside of the repository"),
        ("search", {"text": "x", "path": "nowhere"}, "there is no nowhere"),
        ("edit", {"old": "x", "new": "y"}, "none was viewed yet"),
        ("edit", {"path": AREAS, "old": "return", "new": "y"}, "more than once"),
        ("create", {"path": AREAS, "text": "x"}, "exists already"),
        ("test", {"ids": "-p evil"}, "is no id of a test"),
        ("test", {"ids": "../elsewhere"}, "must not lead out"),
    ):
        observation, parts, _ = act(env, name, **args)
        assert observation.startswith("Error: ")
        assert reason in observation
        assert "\n" not in observation
        assert parts == {"error": 1.0}
    observation, parts, _ = act(env, "edit", path=AREAS, old="return 3 * x", new="return (3 * x")
    assert observation.endswith("the file cannot be parsed any more")
    assert parts == {"unparsable": 1.0}


def test_measuring_on_the_way(started: Started) -> None:
    env = started("two", measure_every=2)
    assert act(env, "edit", path=AREAS, old="3 * x", new="2 * x")[1] == {"edit": 1.0}
    _, parts, _ = act(env, "bash", command=f"echo 'def shout(text): return text' >> {NAMES}")
    assert parts == {"fail_to_pass": 0.5, "progress": 0.5, "pass_to_pass": 0.75, "broke": 0.25}
    act(env, "bash", command=f"sed -i '$d' {NAMES}")
    _, parts, _ = act(env, "edit", path=NAMES, old="first[0] + first[0]", new="first[0] + last[0]")
    assert parts == {"fail_to_pass": 1.0, "progress": 0.5, "pass_to_pass": 1.0}
    observation, _, _, _, info = env.step("<submit></submit>")
    assert (observation, info["signal"].outcome) == ("Right.", 1.0)
    assert "measure_s" not in info["signal"].process  # known already


def test_ids_of_tests_do_not_mind_white_space_where_none_can_be_written(started: Started) -> None:
    env = started(spacing="loose", tracebacks="no")
    said = act(env, "test", ids="tests/test_areas . py : : test_double tests/test_names . py")[0]
    assert said == "FAILED tests/test_areas.py::test_double - assert 12 == 8\n1 failed, 2 passed in 0s"


# -- the gate ----------------------------------------------------------------------------------------------------------


def earn(env: SweEnv) -> float:
    """What viewing the fault is worth."""
    reward = env.step(env.parser.render([Action("view", {"path": AREAS, "lines": "double"})]))[1]
    assert reward == pytest.approx(0.15)
    return float(reward)


def test_an_empty_submission_earns_nothing(started: Started) -> None:
    env = started()
    earned = earn(env)
    observation, reward, terminated, _, info = env.step("<submit></submit>")
    assert (observation, reward, terminated) == ("Wrong.", -earned, True)
    assert info["signal"].process["sound"] == 0.0
    assert "measure_s" not in info["signal"].process


def test_no_submission_earns_nothing(started: Started) -> None:
    for last in ("<view></view>", "nonsense", "<view></view> <view></view>"):
        env = started(max_turns=2)
        earned = earn(env)
        _, reward, _, truncated, info = env.step(last)
        assert truncated
        assert info["signal"].process["forfeit"] == pytest.approx(earned)
        assert reward == pytest.approx(-earned - (0.1 if last != "<view></view>" else 0.0))


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        # A test is broken.
        (
            f"sed -i 's/return 3/return 2/; s/return high/return low/' {AREAS}",
            {"fail_to_pass": 1.0, "pass_to_pass": 0.8},
        ),
        # The tests are gone, the runner is told to take it easy: all of that is left out.
        ("rm tests/*; echo 'def pytest_runtest_call(item): item.obj = int' > conftest.py", {"submitted": 0.0}),
        # The run ends early.
        (f"echo 'import os; os._exit(0)' >> {AREAS}", {"pass_to_pass": 0.0, "fail_to_pass": 0.0}),
    ],
)
def test_a_submission_that_cheats_or_breaks_earns_nothing(
    started: Started, command: str, parts: dict[str, float]
) -> None:
    env = started()
    act(env, "bash", command=command)
    _, said, outcome = act(env, "submit")
    assert outcome == 0.0
    assert {name: said.get(name, 0.0) for name in parts} == parts
    assert "sound" not in said


def test_a_value_made_up_for_the_test_is_unmasked(started: Started) -> None:
    env = started()
    act(env, "edit", path=AREAS, old="return 3 * x", new="return 8")
    _, parts, outcome = act(env, "submit")
    assert outcome == 0.0
    assert (parts["fail_to_pass"], parts["pass_to_pass"], parts["sound"]) == (1.0, 1.0, 1.0)


def test_gated_accumulation_as_stages(started: Started) -> None:
    """What the default weights do step by step, the stages of a run do as a whole."""
    env = started(max_turns=4, actions=["view", "edit", "submit"])

    def course(*last: Action) -> Any:
        texts = [Action("view", {"path": AREAS, "lines": "double"}), *last]
        return play(env, "double", lambda scene: env.parser.render([texts[min(scene.turn, len(texts) - 1)]]))

    solved = course(Action("edit", {"old": "3 * x", "new": "2 * x"}), Action("submit"))
    stopped, empty = course(), course(Action("submit"))
    groups = [Group("g", "double", [solved, stopped, empty])]
    steps = {name: weight for name, weight in env.weights.items() if weight > 0}
    for stages in ([{"weigh": steps}, {"gate": {"when": "sound"}}], [{"weigh": dict(env.weights)}]):
        pipeline = build_stages(stages, env.signals)
        table, _ = pipeline.run(pipeline.read(groups, env.taskset), {})
        assert table.sum_turns(table.turn_reward) == pytest.approx([0.4, 0.0, 0.0])
    assert score_swe_tests(env.task, solved) == 1.0
    assert score_swe_tests(env.task, empty) == 0.0


# -- state -------------------------------------------------------------------------------------------------------------


def test_equal_states_have_equal_keys(started: Started) -> None:
    env = started()
    keys = [env.state_key]
    for name, args in (
        ("edit", {"path": AREAS, "old": "3 * x", "new": "2 * x"}),
        ("edit", {"path": AREAS, "old": "2 * x", "new": "3 * x"}),
        ("view", {"path": AREAS}),
        ("view", {"path": NAMES}),
        ("view", {"path": AREAS}),
        ("bash", {"command": f"sed -i 's/3 \\* x/2 * x/' {AREAS}"}),
        ("view", {"path": "nowhere"}),
    ):
        act(env, name, **args)
        keys.append(env.state_key)
    assert keys[0] == keys[2] != keys[1]
    assert keys[3] == keys[5] != keys[4]
    assert keys[6].split("|")[1] == keys[1].split("|")[1]
    assert keys[7] == keys[6]


def test_a_snapshot_holds_the_whole_workspace(started: Started) -> None:
    env, other = started(), started("clamp")
    act(env, "edit", path=AREAS, old="3 * x", new="2 * x")
    act(env, "bash", command="mkdir .git; echo mine > .git/config; echo 1 > made.txt")
    snapshot = pickle.loads(pickle.dumps(env.snapshot()))
    act(env, "bash", command="rm -rf * .git")
    for place in (other, env, env):
        place.restore(snapshot)
        assert place.state_key == snapshot.state_key
        assert act(place, "bash", command="cat .git/config made.txt")[0] == "mine\n1"
        assert act(place, "submit")[2] == 1.0
    env.restore(env.snapshot())
    assert env.snapshot().done


# -- sandboxes ---------------------------------------------------------------------------------------------------------


def test_sandboxes_go_back(started: Started) -> None:
    env = started()
    pool = shared_pool(sandbox_spec(env.task, env.sandbox, "agents"))
    assert pool.stats().leased == 1
    env.reset(options={"task": "clamp"})
    assert pool.stats().leased == 1
    act(env, "submit")
    assert pool.stats().leased == 0
    env.reset()
    env.close()
    assert pool.stats().leased == 0


def test_a_broken_sandbox_is_a_fault_and_is_replaced(started: Started) -> None:
    env = started(actions=["bash", "view", "edit", "submit"])
    workspace = env._workspace
    assert workspace is not None
    workspace.lease.sandbox.stop()
    with pytest.raises(EnvironmentFault):
        act(env, "bash", command="true")
    with pytest.raises(EnvironmentFault):
        act(env, "view", path=AREAS)
    env.reset(options={"task": "double"})
    assert finish(env) == 1.0


# -- expert ------------------------------------------------------------------------------------------------------------


def test_the_expert_goes_on_from_any_state(started: Started) -> None:
    env = started("two", max_turns=30, actions=["bash", "view", "edit", "judge", "submit"], expert_judges=True)
    act(env, "bash", command=f"rm {NAMES}; echo 'x = 1' > new.py; sed -i 's/class/klass/' {AREAS}; rm -r tests")
    act(env, "edit", path=AREAS, old="return low", new="return high")
    assert finish(env) == 1.0


@pytest.mark.parametrize(
    "options",
    [
        {"action_format": "tags", "actions": ["search", "view", "edit", "submit"]},
        {"action_format": "json", "actions": ["view", "edit", "submit"]},
        {"spacing": "loose", "listing": "functions", "prompt": "terse", "actions": ["view", "edit", "submit"]},
        {"actions": ["bash", "submit"]},
    ],
)
def test_the_expert_solves_in_every_form(started: Started, options: dict[str, Any]) -> None:
    assert finish(started("two", **options)) == 1.0


def test_mistakes(started: Started) -> None:
    env = started(actions=["view", "edit", "submit"])
    assert env.expert({"early": 1.0}, np.random.default_rng(0)) == "<submit> </submit>"
    with pytest.raises(ConfigError, match="no mistake 'nothing'"):
        env.expert({"nothing": 1.0}, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="mistakes need rng"):
        env.expert({"early": 1.0})


# -- a single turn -----------------------------------------------------------------------------------------------------


def test_a_single_turn_needs_no_sandbox(started: Started) -> None:
    env = started("single", sandbox={"image": "there-is-none"})
    assert env.turns_left == 1
    text, _ = env.reset(options={"task": "single"})
    assert "return 3 * x" in text
    assert "double gives too much" in text
    _, _, terminated, _, info = env.step(env.expert())
    assert (terminated, info["signal"].outcome) == (True, 1.0)
    env.reset(options={"task": "single"})
    half = f"<edit> <path> {AREAS} </path> <old> 3 * x </old> 4 * x </edit> <submit></submit>"
    *_, info = env.step(half)
    assert 0.5 < info["signal"].outcome < 1.0
    env.reset(options={"task": "single"})
    observation, _, _, _, info = env.step("<edit> <path> nowhere </path> <old> 3 </old> 4 </edit>")
    assert observation == "Error: action 1 (edit): there is no file 'nowhere' that could be edited"
    assert (info["signal"].outcome, info["signal"].process["patch_similarity"]) == (0.0, -1.0)


def test_single_turns_stand_validation_and_audit() -> None:
    env = SweEnv("repairs", only=["single"])
    assert [str(failure) for failure in validate(env, splits=["train"]).failures] == []
    assert [finding.policy for finding in audit(env).exploits] == []


# -- texts -------------------------------------------------------------------------------------------------------------


def test_the_prompt_says_what_is_asked_for(started: Started) -> None:
    env = started(instructions="none", listing="functions", listed_files=4)
    text, _ = env.reset(options={"task": "double"})
    assert "You have 14 turns." in text
    assert "shapes/areas.py : Circle , Circle.__init__ , Circle.area , double , clamp\n[3 more files]" in text
    assert text.endswith("Problem:\ndouble gives too much")
    env = started(instructions="none", prompt="terse", listing="none")
    assert env.reset(options={"task": "double"})[0] == "double gives too much"


def test_the_vocabulary_holds_the_words_of_an_episode(started: Started) -> None:
    from agentgym.trainers.tiny import words

    options = {"prompt": "terse", "instructions": "none", "line_numbers": False, "tracebacks": "no"}
    env = started(**options, actions=["view", "edit", "submit"])
    known = {word for text in env.vocabulary() for word in words(text)}
    texts = [env.reset(options={"task": "double"})[0]]
    done = False
    while not done:
        texts.append(env.expert())
        observation, _, done, _, _ = env.step(texts[-1])
        texts.append(observation)
    said = {word for text in texts for word in words(text) if not word.startswith(("<", ">"))}
    assert said - known == set()
    assert set(own_texts()) <= set(env.vocabulary())


# -- hostile turns and options -----------------------------------------------------------------------------------------

HOSTILE = st.text(max_size=30) | st.sampled_from(
    [
        "/",
        "..",
        "/proc/self/mem",
        "a\0b",
        "-rf",
        "$(id)",
        "`id`",
        "%s" * 9,
        "\ud800",
        "\r\n",
        AREAS,
        "pkg/" * 300,
        "[",
        "(?",
    ]
)


def test_no_turn_raises(started: Started) -> None:
    env = started(max_turns=10_000, action_format="json", measure_every=0)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        name=st.sampled_from(["view", "search", "edit", "create", "view"]),
        args=st.dictionaries(st.sampled_from(["path", "lines", "text", "old", "new"]), HOSTILE, max_size=3),
    )
    def attack(name: str, args: dict[str, str]) -> None:
        observation, reward, terminated, _, _ = env.step(env.parser.render([Action(name, args)]))
        assert isinstance(observation, str)
        assert np.isfinite(reward)
        assert not terminated

    attack()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "long"}, "prompt must be one of full, terse"),
        ({"spacing": "wide"}, "spacing must be one of"),
        ({"observation_lines": 0}, "observation_lines must be at least 1"),
        ({"measure_every": -1}, "measure_every must be at least 0"),
        ({"command_timeout_s": 0}, "command_timeout_s must be above 0"),
        ({"sandbox": {"limit": {}}}, "sandbox 'docker'"),
        ({"sandbox": {"name": "dokker"}}, "did you mean 'docker'"),
        ({"actions": ["view"]}, "actions must have 'submit'"),
        ({"measure_evry": 1}, "did you mean 'measure_every'"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SweEnv("repairs", **options)
