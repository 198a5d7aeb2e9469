"""`openai`: candidates are asked live, through OpenAI-compatible endpoints and one HTTP client.

A question is sent at the pace its endpoint allows (`pacing`), within a limit on spending (`spending`): what a call may
cost at most is set aside before it is sent. What may pass (429, 5xx, no answer in time) is tried again, after as long
as the endpoint asks for or after a wait that doubles, with jitter. What does not pass is an `EnvironmentFault` and
never the agent's doing; an endpoint that declines a question has answered it. All replies can be kept (`record`), and
played again without a network (`replay`). Keys are read from named environment variables; they are in no
configuration, no message and no stored episode.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from agentgym.aio import on_shared_loop
from agentgym.clients import past_proxies, read_key
from agentgym.envs.routing.candidates import BACKENDS, BackendConfig, Candidate, Estimate, Reply
from agentgym.envs.routing.endpoint import Call, Endpoint, Failed, Wire
from agentgym.envs.routing.pacing import Pace
from agentgym.envs.routing.prices import Price, PriceTable
from agentgym.envs.routing.replies import Record, Replayed, accepted
from agentgym.envs.routing.spending import Overspent, Spending
from agentgym.envs.routing.task import RoutingTask, RoutingTaskSet
from agentgym.faults import ConfigError, EnvironmentFault, MissingExtra
from agentgym.rewards.outcome.answer import cover_match

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

#: Kind of the `EnvironmentFault` of a call that the spend limit forbids.
SPENT = "spend-limit"
#: A wait before the next try is drawn from this share of its length up to all of it: calls that failed together do not
#: come back together.
JITTER_FROM = 0.5


@BACKENDS.register("openai")
class OpenAIBackendConfig(BackendConfig):
    """Candidates behind OpenAI-compatible endpoints."""

    endpoints: tuple[Endpoint, ...] = Field(min_length=1)
    """The candidates. What the task source describes (size, strengths, description) need not be said again."""
    prices: str | None = None
    """Price table in LiteLLM's schema; none: each endpoint states its price, or that it is free."""
    max_usd: float | None = Field(None, gt=0)
    """What calls may cost together, in all environments of a process that play these tasks with these options; none: no
    limit."""
    ledger: str | None = None
    """File that keeps what was spent: `max_usd` then holds for all processes of a run and for its resumption."""
    record: str | None = None
    """File to which every reply is appended."""
    replay: str | None = None
    """File of such replies that are given instead of asking: nothing is sent, no key is needed."""
    connect_timeout_s: float = Field(10.0, gt=0)
    """Seconds until a connection stands."""
    timeout_s: float = Field(60.0, gt=0)
    """Seconds a try may take altogether."""
    retries: int = Field(4, ge=0)
    """Further tries after one that failed in a way that may pass."""
    backoff_s: float = Field(1.0, ge=0)
    """Longest wait before the second try, in seconds; it doubles with each further one."""
    max_wait_s: float = Field(60.0, ge=0)
    """Longest wait between tries, in seconds. An endpoint that asks for a longer one is out of order."""
    max_response_bytes: int = Field(1_000_000, ge=1)
    """A longer answer is not read."""

    @field_validator("endpoints")
    @classmethod
    def _names(cls, value: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        names = [endpoint.name for endpoint in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two are named {name!r}")
        return value

    @model_validator(mode="after")
    def _uses(self) -> OpenAIBackendConfig:
        if self.replay is not None and self.record is not None:
            raise ValueError("replies that are replayed are not recorded again; give record or replay, not both")
        if self.ledger is not None and self.max_usd is None:
            raise ValueError("a ledger needs a limit; give max_usd as well")
        return self

    def make(self, tasks: RoutingTaskSet, estimate: Estimate) -> OpenAIBackend:
        return OpenAIBackend(self, tasks.candidates, estimate)


@dataclass(frozen=True, slots=True)
class _Session:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    client: httpx.AsyncClient
    paces: Mapping[str, Pace]


class OpenAIBackend:
    """Asks candidates over HTTP.

    Args:
        config: Its options.
        described: Candidates as the task source describes them; each needs an endpoint.
        estimate: How tokens are counted that an endpoint does not count.

    Raises:
        ConfigError: A candidate without an endpoint or a price, a variable that is not set, a key that cannot be one.
        DataError: The price table, the ledger or the replies cannot be read.
        MissingExtra: httpx is not installed.
    """

    def __init__(self, config: OpenAIBackendConfig, described: Sequence[Candidate], estimate: Estimate) -> None:
        self._config = config
        self._replayed = None if config.replay is None else Replayed(Path(config.replay))
        if self._replayed is None:
            try:
                import httpx  # noqa: F401
            except ImportError:
                raise MissingExtra("httpx", "routing") from None
        table = None if config.prices is None else PriceTable.load(Path(config.prices))
        known = {candidate.name: candidate for candidate in described}
        for name in known:
            if name not in {endpoint.name for endpoint in config.endpoints}:
                raise ConfigError(f"endpoints: none is named {name!r}, which the tasks offer")
        self._wires: dict[str, Wire] = {}
        self._candidates: list[Candidate] = []
        for stated in config.endpoints:
            endpoint = _completed(stated, known.get(stated.name))
            price = _price(endpoint, table)
            key = None if self._replayed is not None else _key(endpoint)
            self._wires[endpoint.name] = Wire(endpoint, key, price, estimate, config.max_response_bytes)
            self._candidates.append(price.of(endpoint.candidate()))
        self._spending = Spending(config.max_usd, None if config.ledger is None else Path(config.ledger))
        self._record = None if config.record is None else Record(Path(config.record))
        self._session: _Session | None = None
        self._uncounted: set[str] = set()

    @property
    def candidates(self) -> Sequence[Candidate]:
        return tuple(self._candidates)

    @property
    def booked_usd(self) -> float:
        """What was spent, and what is held for calls under way."""
        return self._spending.booked_usd

    def most_usd(self, candidate: Candidate, question: str) -> float:
        """What asking once may cost at most."""
        return self._wires[candidate.name].call(question).most_usd

    async def ask(self, candidate: Candidate, question: str, task: RoutingTask) -> Reply:
        """Asks one candidate; may be called from any event loop.

        Returns:
            The reply. Its score is whether it states an accepted answer, where one is known.

        Raises:
            EnvironmentFault: The endpoint cannot be used, or the call could pass the spend limit.
        """
        if self._replayed is not None:
            return self._replayed.find(candidate.name, question)
        reply = await on_shared_loop(self._ask(candidate.name, question))
        golds = accepted(task, question)
        if golds and reply.error is None:
            reply = replace(reply, score=cover_match(reply.text, golds))
        if self._record is not None:
            self._record.keep(task, candidate.name, question, reply)
        return reply

    async def close(self) -> None:
        """Closes the connections; a later question opens new ones."""
        await on_shared_loop(self._close())

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.client.aclose()

    # -- on the shared loop ------------------------------------------------------------------------------------------

    async def _ask(self, name: str, question: str) -> Reply:
        wire, session = self._wires[name], self._open()
        call, pace = wire.call(question), session.paces[name]
        started = time.monotonic()
        for number in range(self._config.retries + 1):
            try:
                async with pace.turn(call.most_tokens):
                    reply = await self._once(session.client, wire, call)
            except Failed as failure:
                if not failure.again:
                    raise wire.fault(str(failure)) from None
                if number == self._config.retries:
                    raise wire.fault(f"{failure} ({number + 1} tries)") from None
                await asyncio.sleep(self._wait(number, failure, wire, pace))
            else:
                break
        pace.unused(call.most_tokens - reply.prompt_tokens - reply.completion_tokens)
        if reply.approximate and name not in self._uncounted:
            self._uncounted.add(name)
            log.warning("%s does not say how many tokens a call had; they and its cost are estimated", name)
        return replace(reply, seconds=time.monotonic() - started)

    async def _once(self, client: httpx.AsyncClient, wire: Wire, call: Call) -> Reply:
        try:
            hold = self._spending.hold(call.most_usd)
        except Overspent as error:
            raise EnvironmentFault(SPENT, f"{wire.endpoint.name}: {error}") from None
        usd: float | None = None  # what is broken off from outside may be charged
        try:
            async with asyncio.timeout(self._config.timeout_s):
                reply = await wire.send(client, call)
            usd = reply.usd
        except TimeoutError:
            raise Failed("no answer in time", again=True, charged=True) from None
        except Failed as failure:
            usd = None if failure.charged else 0.0
            raise
        finally:
            hold.settle(usd)
        return reply

    def _wait(self, number: int, failure: Failed, wire: Wire, pace: Pace) -> float:
        """Seconds before the next try."""
        limit = self._config.max_wait_s
        asked = failure.after_s
        if asked is not None and asked > limit:
            raise wire.fault(f"{failure}; it asks to wait {asked:.0f} s, and {limit:g} s is the limit") from None
        backoff = min(self._config.backoff_s * 2.0**number, limit) * random.uniform(JITTER_FROM, 1.0)
        if asked is None:
            return backoff
        pace.pause(asked)  # for the other calls as well
        return asked + backoff

    def _open(self) -> _Session:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:  # the first time, and in a forked child
            import httpx

            client = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=self._config.connect_timeout_s),
                limits=httpx.Limits(max_connections=None),
                mounts=past_proxies(),
            )
            self._session = _Session(loop, client, {name: _pace(wire.endpoint) for name, wire in self._wires.items()})
        return self._session


def _pace(endpoint: Endpoint) -> Pace:
    return Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute, endpoint.max_concurrency)


def _completed(endpoint: Endpoint, described: Candidate | None) -> Endpoint:
    """With what the task source says of the candidate and the endpoint does not."""
    if described is None:
        return endpoint
    missing: dict[str, Any] = {
        name: getattr(described, name) for name in Candidate.model_fields if name not in endpoint.model_fields_set
    }
    return endpoint.model_copy(update=missing)


def _price(endpoint: Endpoint, table: PriceTable | None) -> Price:
    if endpoint.free:
        return Price.per_million(0.0, 0.0)
    if table is not None:
        return table.price(endpoint.price_name or endpoint.model or endpoint.name)
    price = Price.per_million(endpoint.input_usd_per_mtok, endpoint.output_usd_per_mtok)
    if price.is_free:
        raise ConfigError(
            f"endpoints: {endpoint.name!r} has no price; state one, give a price table, or say free: true"
        )
    return price


def _key(endpoint: Endpoint) -> str | None:
    if endpoint.api_key_env is None:
        return None
    try:
        return read_key(endpoint.api_key_env)
    except ConfigError as error:
        raise ConfigError(f"endpoints: {endpoint.name!r}: {error}") from None
