"""`http`: a retrieval server that speaks Search-R1's protocol (arXiv 2503.09516), with its own documents.

``POST {"queries": [...], "topk": k, "return_scores": true}`` is answered by
``{"result": [[{"document": {"id": ..., "contents": "\\"title\\"\\ntext"}, "score": ...}, ...], ...]}``, a list a query.
A server that does not answer, or answers something else, is a fault of the world and never the agent's. Faults are
logged: they name the server's host and path, not what else its address may hold (a password, a key in the query).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from agentgym.envs.search.corpus import Corpus, from_contents, make_document
from agentgym.envs.search.retrievers import Hit, Retriever
from agentgym.envs.search.worlds import Document
from agentgym.faults import ConfigError, EnvironmentFault, MissingExtra, typed_line


class HttpRetriever(Retriever):
    """Searches through a server.

    Args:
        url: The endpoint, e.g. ``http://host:8000/retrieve``.
        timeout_s: Seconds one request may take.
        retries: Further tries after a failed connection, a time-out or a 5xx answer; other answers fail at once.
        backoff_s: Seconds before the first further try; doubled each time.
        key: What names a document: ``id``, the server's own, or ``title``, where a task's gold documents are titles (as
            HotpotQA's and MuSiQue's are).
    """

    blocking: ClassVar[bool] = True
    local: ClassVar[bool] = False

    def __init__(
        self,
        url: str,
        timeout_s: float = 30.0,
        retries: int = 2,
        backoff_s: float = 0.5,
        key: Literal["id", "title"] = "id",
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"retriever 'http': url must begin with http:// or https://, got {url!r}")
        if key not in ("id", "title"):
            raise ConfigError(f"retriever 'http': key must be 'id' or 'title', got {key!r}")
        if not timeout_s > 0 or retries < 0 or backoff_s < 0:
            raise ConfigError("retriever 'http': timeout_s must be above 0, retries and backoff_s at least 0")
        self.url, self.timeout_s, self.retries, self.backoff_s, self.key = url, timeout_s, retries, backoff_s, key
        self._client: Any = None
        self._lock = Lock()

    def index(self, corpus: Corpus) -> None:
        """Nothing to do: the server has its documents."""

    def search(self, query: str, k: int) -> list[Hit]:
        return self.search_many([query], k)[0]

    def search_many(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        if not queries or k < 1:
            return [[] for _ in queries]
        # A lone surrogate is a legal str, but not encodable.
        asked = [query.encode("utf-8", "replace").decode("utf-8") for query in queries]
        answer = self._post({"queries": asked, "topk": k, "return_scores": True})
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, list) or len(result) != len(queries):
            raise self._fault(f"'result' must be a list of {len(queries)} lists of documents")
        return [self._hits(found)[:k] for found in result]

    def _post(self, payload: dict[str, Any]) -> Any:
        client, httpx = self._open()
        problem = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(self.backoff_s * 2 ** (attempt - 1))
            try:
                response = client.post(self.url, json=payload)
            except httpx.InvalidURL as error:
                raise ConfigError(f"retriever 'http': url: {error}") from None
            except httpx.RequestError as error:
                problem = typed_line(error)
                continue
            if response.status_code >= 500:
                problem = f"status {response.status_code}"
                continue
            if response.status_code != 200:
                raise self._fault(f"status {response.status_code}")
            try:
                return response.json()
            except ValueError:
                raise self._fault("the answer is not JSON") from None
        raise self._fault(f"{problem} ({self.retries + 1} tries)")

    def _open(self) -> tuple[Any, Any]:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtra("httpx", "search") from error
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=self.timeout_s)
        return self._client, httpx

    def _hits(self, found: Any) -> list[Hit]:
        if not isinstance(found, list):
            raise self._fault("a query's result must be a list of documents")
        hits = []
        for item in found:
            entry = item.get("document", item) if isinstance(item, dict) else None
            if not isinstance(entry, dict):
                raise self._fault("a document must be an object")
            hits.append(Hit(self._document(entry), _score(item.get("score"))))
        return hits

    def _document(self, entry: dict[str, Any]) -> Document:
        contents, title, text = entry.get("contents"), entry.get("title"), entry.get("text")
        if isinstance(contents, str):
            document = from_contents("", contents)
        elif isinstance(text, str):
            document = make_document("", title if isinstance(title, str) else "", text)
        else:
            raise self._fault("a document must have 'contents' (or 'title' and 'text')")
        if self.key == "title":
            name = document.title
        else:
            given = entry.get("id")
            # A server may leave ids out; equal documents must still be recognised.
            content = f"{document.title}\n{document.text}".encode("utf-8", "surrogatepass")
            name = str(given) if given is not None else blake2b(content, digest_size=8).hexdigest()
        return Document(name, document.title, document.text)

    def _fault(self, reason: str) -> EnvironmentFault:
        parts = urlsplit(self.url)
        return EnvironmentFault("retriever", f"{parts.hostname}{parts.path}: {reason}")


def _score(value: Any) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        return 0.0
    return score if math.isfinite(score) else 0.0
