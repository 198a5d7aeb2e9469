"""BrowserGym's side of `benchmarks/web.py`: MiniWoB episodes by script, each process with an environment of its own.

    python with_browsergym.py SETTINGS.json

Its environments hold Playwright's synchronous objects, which threads cannot share, so several at once are several
processes. What is timed of a step is `env.step`; the number of the element is looked up before.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import sys
import time
from typing import Any

#: Page -> its actions: what is done, to which element, with the how-many-th quoted text of the goal.
SCRIPTS: dict[str, list[tuple[str, str, int]]] = {
    "click-test": [("click", "#subbtn", -1)],
    "click-button-sequence": [("click", "#subbtn", -1), ("click", "#subbtn2", -1)],
    "focus-text": [("click", "#tt", -1)],
    "enter-text": [("fill", "#tt", 0), ("click", "#subbtn", -1)],
    "enter-text-dynamic": [("fill", "#tt", 0), ("click", "#subbtn", -1)],
    "enter-password": [("fill", "#password", 0), ("fill", "#verify", 0), ("click", "#subbtn", -1)],
    "login-user": [("fill", "#username", 0), ("fill", "#password", 1), ("click", "#subbtn", -1)],
    "click-dialog": [("click", ".ui-dialog-titlebar-close", -1)],
}


def use_chromium(path: str) -> None:
    """Makes every browser that is started this one: the environment starts a second one, for its chat, by itself."""
    from playwright.sync_api import BrowserType

    launch = BrowserType.launch
    BrowserType.launch = lambda self, **options: launch(self, **{"executable_path": path, **options})  # type: ignore


def play(work: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """Episodes one after another."""
    import gymnasium

    importlib.import_module("browsergym.miniwob")  # registers the environments

    steps, resets, solved = list[float](), list[float](), 0
    envs: dict[str, Any] = {}
    for seed in seeds:
        page = work["pages"][seed % len(work["pages"])]
        if page not in envs:
            delay = {} if work["delay_s"] is None else {"pre_observation_delay": work["delay_s"]}
            envs[page] = gymnasium.make(f"browsergym/miniwob.{page}", disable_env_checker=True, **delay)
        env = envs[page]
        start = time.perf_counter()
        observation, _ = env.reset(seed=seed)
        resets.append(time.perf_counter() - start)
        texts, reward = re.findall(r'"([^"]*)"', observation["goal"]), 0.0
        for verb, selector, text in SCRIPTS[page]:
            # Through the page, since the observation does not show what the document calls an element.
            bid = env.unwrapped.page.locator(selector).get_attribute("bid")
            action = f"{verb}({bid!r}, {texts[text]!r})" if verb == "fill" else f"{verb}({bid!r})"
            start = time.perf_counter()
            _, earned, done, _, _ = env.step(action)
            steps.append(time.perf_counter() - start)
            reward = float(earned)
            if done:
                break
        solved += reward > 0
    for env in envs.values():
        env.close()
    return {"steps": steps, "resets": resets, "solved": solved}


def worker(work: dict[str, Any], seeds: list[int], ready: Any, results: Any) -> None:
    importlib.import_module("browsergym.miniwob")  # before the clock starts
    use_chromium(work["chromium"])
    ready.wait()
    try:
        results.put(play(work, seeds))
    except Exception as error:  # the parent waits for something from each
        results.put({"error": repr(error)})


def main() -> None:
    with open(sys.argv[1]) as file:
        work = json.load(file)
    os.environ["MINIWOB_URL"] = work["url"]
    seeds, at_once = list(range(work["first"], work["first"] + work["episodes"])), work["at_once"]
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(at_once + 1), context.Queue()
    processes = [context.Process(target=worker, args=(work, seeds[n::at_once], ready, results)) for n in range(at_once)]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    parts = [results.get() for _ in processes]
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    if errors := [part["error"] for part in parts if "error" in part]:
        raise SystemExit(errors[0])
    whole = {key: [x for part in parts for x in part[key]] for key in ("steps", "resets")}
    solved = sum(part["solved"] for part in parts)
    print(json.dumps({**whole, "solved": solved, "episodes": len(seeds), "seconds": seconds}))


if __name__ == "__main__":
    main()
