"""`dense`: sentence embeddings of any sentence-transformers model, exact search by inner product.

Embeddings are normalised, so a score is a cosine. With a `directory` they are saved under a name made of the corpus's
content and the model, and memory-mapped.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.search.corpus import Corpus, searchable
from agentgym.envs.search.retrievers import Hit, Retriever, best
from agentgym.envs.search.worlds import Document
from agentgym.faults import ConfigError, EnvironmentFault, MissingExtra, first_line


class DenseRetriever(Retriever):
    """Nearest documents by the cosine of their embeddings; every query finds `k` documents.

    Args:
        model: Folder or hub name of a sentence-transformers model.
        directory: Where embeddings are kept between runs; None keeps them in memory only.
        device: Torch device; None lets sentence-transformers choose.
        batch_size: Documents embedded at once.
        query_prefix: Put before every query; ``"query: "`` for E5.
        document_prefix: Put before every document; ``"passage: "`` for E5.
    """

    blocking: ClassVar[bool] = True

    def __init__(
        self,
        model: str,
        directory: str | None = None,
        device: str | None = None,
        batch_size: int = 64,
        query_prefix: str = "",
        document_prefix: str = "",
    ) -> None:
        self.model, self.directory, self.device, self.batch_size = model, directory, device, batch_size
        self.query_prefix, self.document_prefix = query_prefix, document_prefix
        self._documents: tuple[Document, ...] = ()
        self._vectors: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def index(self, corpus: Corpus) -> None:
        self._documents = corpus.documents
        if not corpus.documents:
            return
        path = self._path(corpus)
        saved = None if path is None else _load(path, len(corpus))
        if saved is not None:
            self._vectors = saved
            return
        self._vectors = self._embed([self.document_prefix + searchable(d) for d in corpus.documents])
        if path is not None:
            _save(path, self._vectors)

    def search(self, query: str, k: int) -> list[Hit]:
        return self.search_many([query], k)[0]

    def search_many(self, queries: list[str] | Any, k: int) -> list[list[Hit]]:
        if not self._documents or not queries or k < 1:
            return [[] for _ in queries]
        vectors = self._embed([self.query_prefix + query for query in queries])
        everything = np.arange(len(self._documents))
        found = []
        for scores in vectors @ self._vectors.T:
            found.append([Hit(self._documents[i], float(scores[i])) for i in best(everything, scores, k)])
        return found

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        model = _model(self.model, self.device)
        try:
            vectors = model.encode(
                texts, batch_size=self.batch_size, normalize_embeddings=True, show_progress_bar=False
            )
        except RuntimeError as error:  # torch: out of memory, device lost
            raise EnvironmentFault("retriever", f"{self.model}: {first_line(error)}") from error
        return np.asarray(vectors, dtype=np.float32)

    def _path(self, corpus: Corpus) -> Path | None:
        if self.directory is None:
            return None
        recipe = f"{self.model}|{self.document_prefix}|{corpus.digest}"
        return Path(self.directory) / f"dense-{blake2b(recipe.encode(), digest_size=12).hexdigest()}.npy"


@lru_cache(maxsize=4)
def _model(name: str, device: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtra("sentence-transformers", "search") from error
    try:
        return SentenceTransformer(name, device=device)
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise ConfigError(f"retriever 'dense': model {name!r}: {reason}") from error


def _load(path: Path, n: int) -> NDArray[np.float32] | None:
    """The saved embeddings; None where there are none, or only damaged ones."""
    try:
        vectors: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == n else None


def _save(path: Path, vectors: NDArray[np.float32]) -> None:
    """Writes aside, then renames: another process sees a whole file or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.save(file, vectors, allow_pickle=False)
        os.replace(aside, path)
    except OSError as error:
        raise EnvironmentFault("retriever", f"cannot save embeddings to {path}: {error.strerror}") from error
