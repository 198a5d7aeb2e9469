"""Operations of a web service as tools, from an OpenAPI 3 file (JSON or YAML, with references into itself).

An operation's parameters and its JSON body become arguments of one tool; how they are sent is in
`agentgym.tools.openapi_client`. Operations that take what cannot be sent (other bodies than JSON, required cookies) are
left out with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import Field, model_validator

from agentgym.clients import check_address, plain_line
from agentgym.config import parse_yaml
from agentgym.faults import ConfigError
from agentgym.tools.json_schema import SchemaProblem, numbered, portable
from agentgym.tools.openapi_client import Place, WebClient
from agentgym.tools.remote import Offer, RemoteSpec, read_env, remote_tools
from agentgym.tools.toolset import ToolSet

#: Largest file, in bytes.
MAX_FILE_BYTES = 32 * 2**20
#: References that lead to references, one after the other.
MAX_CHAIN = 16
METHODS = ("get", "put", "post", "delete", "patch")
#: Headers that the client or the transport sets, so that no argument may.
OWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie"),
        *("host", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
#: Ways of writing an argument (OpenAPI's word: style) by where it goes; the first is the default.
STYLES = {
    "path": ("simple",),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
}


class OpenApiSpec(RemoteSpec):
    """An entry of a tool list: operations of a web service."""

    openapi: Path
    """The file."""
    base_url: str | None = None
    """Where the service is, e.g. ``https://api.example.org/v1``. None: the first of the file's `servers`."""
    headers_env: dict[str, str] = Field(default_factory=dict)
    """HTTP header -> name of the environment variable that holds its value, e.g. ``{Authorization: API_TOKEN}``."""
    max_response_bytes: int = Field(2**20, ge=1)
    """Bytes of an answer that are read; a longer one is cut."""

    @model_validator(mode="after")
    def _address(self) -> OpenApiSpec:
        if self.base_url is not None:
            check_address(self.base_url)
        return self


def open_openapi(spec: OpenApiSpec, where: str) -> ToolSet:
    """Offers the operations of a file. Nothing is sent yet.

    Raises:
        ConfigError: The file cannot be used, a variable does not exist, or the operations asked for.
        MissingExtra: httpx is not installed.
    """
    document = load_document(spec.openapi, f"{where}.openapi")
    headers = read_env(spec.headers_env, f"{where}.headers_env")
    client = WebClient(_base_url(spec, document, where), headers, spec.max_response_bytes, where)
    own = OWN_HEADERS | {header.lower() for header in headers}
    offers = [
        Offer(operation.name, operation.description, operation.schema, operation.invoke)
        for operation in operations(document, client, own, f"{where}.openapi")
    ]
    return ToolSet(remote_tools(offers, spec, where))


def load_document(path: Path, where: str) -> dict[str, Any]:
    """Reads an OpenAPI 3 file.

    Raises:
        ConfigError: It cannot be read, or is something else; begins with `where`.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{where}: {path} is larger than {MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else parse_yaml(text, f"{where}: {path}")
        if not isinstance(data, dict) or not str(data.get("openapi")).startswith("3."):
            raise ConfigError(f"{where}: {path} is not an OpenAPI 3 file")
        return dict(_modern(data)) if str(data["openapi"]).startswith("3.0") else data
    except OSError as error:
        raise ConfigError(f"{where}: {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path}: not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: {path}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{where}: {path}: nested too deeply") from None


def operations(document: Mapping[str, Any], client: WebClient, own: frozenset[str], where: str) -> Iterator[Operation]:
    """Every operation of a document.

    Args:
        document: As `load_document` gives it.
        client: Sends the requests.
        own: Headers, in small letters, that no argument may set.
        where: Names the file in messages.

    Raises:
        ConfigError: Its paths are not what they should be.
    """
    paths = document.get("paths")
    if not isinstance(paths, dict) or not all(isinstance(item, dict) for item in paths.values()):
        raise ConfigError(f"{where}: paths must be a mapping of paths to operations")
    for path, item in paths.items():
        for method in METHODS:
            if isinstance(item.get(method), dict):
                yield Operation(str(path), method, item, document, client, own)


class Operation:
    """One method of one path.

    Args:
        path: With its arguments in braces.
        method: In small letters.
        item: What the document says of the path.
        document: What references lead into.
        client: Sends the requests.
        own: Headers, in small letters, that no argument may set.
    """

    def __init__(
        self,
        path: str,
        method: str,
        item: Mapping[str, Any],
        document: Mapping[str, Any],
        client: WebClient,
        own: frozenset[str],
    ) -> None:
        self._path, self._method, self._item, self._document = path, method, item, document
        self._client, self._own = client, own
        says = item[method]
        words = "_".join(part.strip("{}") for part in path.split("/") if part)
        self.name = str(says.get("operationId") or f"{method}_{words}")
        self.description = str(says.get("summary") or str(says.get("description") or "").partition("\n")[0])

    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments.

        Raises:
            SchemaProblem: It takes what cannot be sent.
        """
        return portable(self._plan[0], self._document)

    async def invoke(self, arguments: dict[str, Any], timeout_s: float) -> tuple[Any, str]:
        """Sends the request: (the answer's value, its text)."""
        return await self._client.send(self._method, self._path, self._plan[1], arguments)

    @cached_property
    def _plan(self) -> tuple[dict[str, Any], dict[str, Place]]:
        """Schema of the arguments, and where each goes."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        places: dict[str, Place] = {}
        for says in self._parameters():
            where, name = str(says.get("in")), str(says.get("name"))
            if where == "cookie" or (where == "header" and name.lower() in self._own):
                if says.get("required") and where == "cookie":
                    raise SchemaProblem(f"it needs the cookie {plain_line(name, 80)!r}")
                continue
            content = says.get("content")
            style = str(says.get("style", STYLES.get(where, ("",))[0]))
            if style not in STYLES.get(where, ()):
                raise SchemaProblem(f"argument {plain_line(name, 80)!r} is sent in a way that is not supported")
            argument = name if name not in places else next(n for n in numbered(f"{where}_{name}") if n not in places)
            explode = bool(says.get("explode", style == "form"))
            places[argument] = Place(where, name, "json" if content else style, explode)
            schema = _json_content(content) if content else says.get("schema", {})
            properties[argument] = _described(schema, says.get("description"))
            if where == "path" or says.get("required"):
                required.append(argument)
        body = self._resolved(self._item[self._method].get("requestBody") or {})
        if body:
            argument = next(n for n in numbered("body") if n not in places)
            places[argument] = Place("body", "", "json", False)
            properties[argument] = _described(_json_content(body.get("content")), body.get("description"))
            if body.get("required"):
                required.append(argument)
        return {"type": "object", "properties": properties, "required": required}, places

    def _parameters(self) -> list[Mapping[str, Any]]:
        """Parameters of the path and of the operation, which override them."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for source in (self._item, self._item[self._method]):
            listed = source.get("parameters") or []
            for one in listed if isinstance(listed, list) else ():
                says = self._resolved(one)
                found[str(says.get("in")), str(says.get("name"))] = says
        return list(found.values())

    def _resolved(self, item: Any) -> Mapping[str, Any]:
        """What a reference leads to."""
        for _ in range(MAX_CHAIN):
            if not isinstance(item, dict):
                raise SchemaProblem("its description is not a mapping")
            if "$ref" not in item:
                return item
            target: Any = self._document
            reference = str(item["$ref"])
            for part in reference.split("/")[1:] if reference.startswith("#/") else [""]:
                key = unquote(part).replace("~1", "/").replace("~0", "~")
                target = target.get(key) if isinstance(target, dict) else None
            item = target
        raise SchemaProblem("its description refers to itself in a circle")


def _json_content(content: Any) -> Any:
    """Schema of the JSON form of a body or parameter."""
    for kind, says in content.items() if isinstance(content, dict) else ():
        form = str(kind).partition(";")[0].strip().lower()
        if (form == "application/json" or form.endswith("+json")) and isinstance(says, dict):
            return says.get("schema", {})
    raise SchemaProblem("it takes another body than JSON")


def _described(schema: Any, description: Any) -> Any:
    if description and isinstance(schema, dict) and "description" not in schema:
        return {**schema, "description": str(description)}
    return schema


def _modern(value: Any) -> Any:
    """OpenAPI 3.0's own forms of `null` and of open bounds as JSON schema has them."""
    if isinstance(value, list):
        return [_modern(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: _modern(one) for key, one in value.items()}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
    for open_bound, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(open_bound), bool) and made.pop(open_bound) and bound in made:
            made[open_bound] = made.pop(bound)
    return made


def _base_url(spec: OpenApiSpec, document: Mapping[str, Any], where: str) -> str:
    if spec.base_url is not None:
        return spec.base_url
    servers = document.get("servers")
    first = servers[0].get("url") if isinstance(servers, list) and servers and isinstance(servers[0], dict) else None
    try:
        check_address(str(first))
        if "{" in str(first):
            raise ValueError("an address must not have variables")
    except ValueError as why:
        raise ConfigError(f"{where}: needs the key base_url, since the file names no server to use: {why}") from None
    return str(first)
