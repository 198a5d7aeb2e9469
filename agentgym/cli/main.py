"""The command line, ``agentgym``. A command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from agentgym.cli.common import EXIT_FAILED, complain
from agentgym.cli.swe import app as swe_app
from agentgym.faults import AgentGymError, ConfigError

# Typer carries click inside itself or beside it, depending on its version; its own public class leads to the base.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


@contextmanager
def _one_line_errors(debug: bool) -> Iterator[None]:
    """Mistakes of the user become one line; everything else keeps its traceback."""
    try:
        yield
    except AgentGymError as error:
        if debug:
            raise
        status = complain(error)
    except _ClickException as error:
        message = getattr(error, "format_message", error.__str__)()
        status = complain(ConfigError(message))
    else:
        return
    raise typer.Exit(status)


class _Group(TyperGroup):
    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if "--debug" in args:  # accepted anywhere on the line
            args = ["--debug", *(a for a in args if a != "--debug")]
        with _one_line_errors(debug=False):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _one_line_errors(bool(ctx.params.get("debug"))):
            return super().invoke(ctx)


app = typer.Typer(
    name="agentgym", cls=_Group, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.add_typer(swe_app, name="swe")

Env = Annotated[str, typer.Argument(metavar="ENV", help="Environment id, e.g. agentgym/Search-v0, or module:id.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", "-o", metavar="K=V", help="Keyword argument of the environment.")
]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file, e.g. examples/search.yaml.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Configuration keys to set, e.g. updates=50.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, e.g. runs/search.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document instead of text.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
) -> None:
    """Multi-turn environments for language-model agents: play them, check them, train on them."""
    if version:
        import agentgym

        print(f"agentgym {agentgym.__version__}")
        raise typer.Exit
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # so that a module in the current folder can be named: module:Env-v0
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@app.command()
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew; do not resume an unfinished run.")] = False,
    restarts: Annotated[
        int | None,
        typer.Option(min=0, help="Go on in a new process where this one dies, so often in a row with nothing new."),
    ] = None,
    json: Json = False,
) -> None:
    """Train a policy; results go to runs/NAME.

    An unfinished run of the same configuration is resumed. Ctrl-C saves and leaves.
    """
    from agentgym.cli.training import run_training

    if code := run_training(config, overrides or [], fresh=fresh, restarts=restarts, as_json=json):
        raise typer.Exit(code)


@app.command("eval")
def evaluate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file, or the folder of a run.")],
    overrides: Overrides = None,
    run: Annotated[Path | None, typer.Option(help="Evaluate the newest checkpoint of this run.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Evaluate this checkpoint or Hugging Face folder.")] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="Held-out tasks of each difficulty.")] = None,
    json: Json = False,
) -> None:
    """Evaluate a policy on held-out tasks: success by difficulty, greedy and sampled, with 95% intervals."""
    from agentgym.cli.evaluating import run_evaluation

    run_evaluation(config, overrides or [], run=run, checkpoint=checkpoint, tasks=tasks, as_json=json)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, e.g. runs/search.")],
    episode: Annotated[str | None, typer.Option("--episode", "-k", help="Show one: its id or its number k.")] = None,
    update: Annotated[int | None, typer.Option("--update", "-u", help="Only episodes of this update.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Episodes to list; 0: all.")] = 50,
    full: Annotated[bool, typer.Option("--full", help="Show messages in full length.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the episode as a page to this file.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Recorded screenshots. [default: where the run put them]")
    ] = None,
    json: Json = False,
) -> None:
    """List a run's episodes, or show one turn by turn with its signals, rewards and advantages."""
    from agentgym.cli.episodes import show_run

    show_run(run, episode=episode, update=update, limit=limit, full=full, as_json=json, page=html, pictures=pictures)


@app.command()
def status(
    run: RunFolder,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep looking, until the run has ended.")] = False,
    json: Json = False,
) -> None:
    """Show how a run is doing: whether it is alive, how far, how fast, where the time goes, what went wrong.

    For a run that was stopped or killed, the command that goes on with it.
    """
    from agentgym.cli.status import show_status

    show_status(run, watch=watch, as_json=json)


@app.command()
def play(
    env: Env,
    option: Options = None,
    task: Annotated[str | None, typer.Option(help="Task id; none draws one under the seed.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the episode.")] = 0,
    expert: Annotated[bool, typer.Option("--expert", help="Let the environment's scripted expert play.")] = False,
    headed: Annotated[bool, typer.Option("--headed", help="Show the browser, for environments that have one.")] = False,
    json: Json = False,
) -> None:
    """Play an episode in the terminal and see every reward part after each turn.

    One line is one turn; a line that ends in a backslash goes on in the next. /expert shows what the expert would
    write, /quit leaves.
    """
    from agentgym.cli.common import parse_options
    from agentgym.cli.play import play_episode
    from agentgym.making import make_env

    options = parse_options(option or []) | ({"headed": True} if headed else {})
    play_episode(make_env(env, options), env, task=task, seed=seed, expert=expert, as_json=json)


@app.command()
def validate(
    env: Env,
    option: Options = None,
    split: Annotated[Literal["both", "train", "heldout"], typer.Option(help="Tasks of which split.")] = "both",
    tasks: Annotated[int, typer.Option(min=0, help="Tasks of each split; 0: all.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of the episodes.")] = 0,
    json: Json = False,
) -> None:
    """Check an environment task by task: its expert solves each, doing nothing solves none, seeds and forks hold."""
    from agentgym.cli.checks import run_validation
    from agentgym.task import SPLITS

    splits = SPLITS if split == "both" else (split,)
    if not run_validation(env, option or [], splits=splits, limit=tasks or None, seed=seed, as_json=json):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def audit(
    env: Env,
    option: Options = None,
    rewards: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML with 'rewards:'. [default: the environment's weights]")
    ] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks of each difficulty.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of tasks and of the episodes.")] = 0,
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of what solving adds that may be earned without solving.")
    ] = 0.5,
    margin: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the expert's return to stay below it.")
    ] = 0.1,
    json: Json = False,
) -> None:
    """Play degenerate policies and see whether one earns what only a solver should.

    Silence, guesses, repetition, verdicts that are always the same, keywords, echo, length and master keys are scored
    beside the expert and beside an honest failure: the expert's course with its last turn spoilt.
    """
    from agentgym.cli.audit import run_audit
    from agentgym.rewards.audit import Criterion

    rule = Criterion(share=share, margin=margin)
    if not run_audit(env, option or [], rewards=rewards, tasks=tasks, seed=seed, criterion=rule, as_json=json):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def rescore(
    run: RunFolder,
    rewards: Annotated[Path, typer.Option(metavar="FILE", help="YAML with 'rewards:' and, if it changes, 'credit:'.")],
    out: Annotated[Path | None, typer.Option(help="New folder. [default: RUN/rescored/NAME of the file]")] = None,
    json: Json = False,
) -> None:
    """Compute rewards and advantages of stored episodes anew, without any inference.

    The result is a folder that show, compare, distance and rescore read like a run's. Nothing is overwritten.
    """
    from agentgym.cli.rescore import rescore_run

    rescore_run(run, rewards, out=out, as_json=json)


@app.command()
def replay(run: RunFolder, json: Json = False) -> None:
    """Compute the updates between a run's oldest and newest checkpoint again, from its stored episodes.

    Says whether the weights come out as they are stored. Nothing of the run is changed.
    """
    from agentgym.cli.replay import run_replay

    if code := run_replay(run, as_json=json):
        raise typer.Exit(code)


@app.command()
def compare(
    run: RunFolder,
    credit: Annotated[str, typer.Option(metavar="A,B,...", help="Methods, e.g. 'grpo, {name: gigpo, gamma: 0.9}'.")],
    episode: Annotated[
        str | None,
        typer.Option("--episode", "-k", help="Draw this one: its id or number. [default: the most disputed group]"),
    ] = None,
    update: Annotated[int | None, typer.Option("--update", "-u", help="Only episodes of this update.")] = None,
    out: Annotated[Path | None, typer.Option(help="The picture, a PNG. [default: RUN/compare.png]")] = None,
    json: Json = False,
) -> None:
    """Show how credit methods judge the same stored episodes: a picture, and their rank correlation over all turns."""
    from agentgym.cli.compare import compare_methods

    compare_methods(run, credit, episode=episode, update=update, out=out, as_json=json)


@app.command()
def distance(
    run: RunFolder,
    rewards: Annotated[tuple[Path, Path], typer.Option(metavar="A B", help="Two YAML files with 'rewards:'.")],
    gamma: Annotated[float, typer.Option(min=0.0, max=1.0, help="Discount of each further turn.")] = 1.0,
    json: Json = False,
) -> None:
    """Measure how far two rewards are apart on stored episodes: 0 for a scaled or potential-shaped twin, 1 opposed."""
    from agentgym.cli.distance import measure_distance

    measure_distance(run, rewards, gamma=gamma, as_json=json)


@app.command()
def envs(json: Json = False) -> None:
    """List the environments that are installed."""
    from agentgym.cli.listing import list_envs

    list_envs(as_json=json)


@app.command()
def methods(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="reward, judge, shape, credit or loss.")] = None,
    json: Json = False,
) -> None:
    """List the reward functions, judges, shaping stages, credit methods and losses that a configuration can name."""
    from agentgym.cli.listing import list_methods

    list_methods(kind, as_json=json)


@app.command("serve-tools")
def serve_tools(
    specs: Annotated[
        list[str],
        typer.Argument(metavar="SPEC...", help="A tool's name, package.module:function, or a YAML file with 'tools:'."),
    ],
    http: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve streamable HTTP, by default to this machine alone."),
    ] = None,
) -> None:
    """Offer tools as an MCP server: on the standard streams, or over HTTP at /mcp.

    Whoever can reach it can call the tools; over HTTP nobody is asked for a password.
    """
    from agentgym.cli.serving import run_serving

    run_serving(specs, http=http)


@app.command("sandbox-image")
def sandbox_image(
    anew: Annotated[bool, typer.Option("--anew", help="Make it also when it is there.")] = False,
) -> None:
    """Make the image that the Docker sandbox uses: Debian with Python, pytest, git and ripgrep."""
    from agentgym.cli.sandboxes import make_sandbox_image

    make_sandbox_image(anew=anew)


@app.command()
def doctor(
    json: Json = False,
    quick: Annotated[bool, typer.Option("--quick", help="Start nothing (no Ray, no browser).")] = False,
) -> None:
    """Say which parts work on this machine, and the command that mends the rest."""
    from agentgym.cli.doctor import run_doctor

    if not run_doctor(quick=quick, as_json=json):
        raise typer.Exit(EXIT_FAILED)


def main() -> None:
    """Entry point of the ``agentgym`` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no terminal's encoding ends a command
    app()


if __name__ == "__main__":
    main()
