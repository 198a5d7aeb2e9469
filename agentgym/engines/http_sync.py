"""`FolderSync`: gives a running ``vllm serve`` new weights through a folder that both can see.

The server has to be started with ``VLLM_SERVER_DEV_MODE=1``: the calls used here (pause, reload, resume) are among
those that vLLM keeps from the public, and they take no key, so such a server belongs on a private network. Weights are
named by a digest of their content. Several engines of one server thus write them once and load them once, and a server
that was started anew, with the weights it was born with, is found out and mended before it is asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.engines.http_wire import Refused, Wire
from agentgym.faults import ConfigError, EngineFault, first_line

#: Of the file in a folder of weights; servers read every ``*.safetensors`` there is.
FILE = "model.safetensors"
#: Bytes of the digest that names weights.
DIGEST_BYTES = 16


class FolderSync:
    """Of one engine.

    Completions under way are waited for, those asked for meanwhile wait: each one is sampled from one version.

    Args:
        wire: The way to the server.
        folder: Where weights are written; made when it is not there.

    Attributes:
        mended: How often the server was found without its weights: what it wrote just before is not what it seems.
    """

    def __init__(self, wire: Wire, folder: Path) -> None:
        self._wire, self.folder = wire, folder.absolute()
        self.mended = 0
        self._tag: str | None = None  # of the weights that the server should have
        self._trusted = 0  # `Wire.opened` when the server was last known to have them
        self._turn: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def unusable(self) -> str | None:
        """Why the server cannot take weights; None: it can."""
        try:
            await self._wire.get("/weight_info")
            await self._wire.get("/is_paused")
        except Refused as error:
            return f"the server takes no weights: start it with VLLM_SERVER_DEV_MODE=1 ({error.detail})"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return f"sync_folder {self.folder}: {error.strerror or error}"
        return None

    async def put(self, version: int, state: Mapping[str, Any]) -> None:
        """Writes the weights and has the server load them.

        Raises:
            EngineFault: They cannot be written, or the server did not load them. It must not be used any more.
        """
        async with self._lock():
            old = self._tag
            self._tag = await asyncio.to_thread(_write, self.folder, state)
            await self._load(self._tag)
            if old is not None and old != self._tag:
                await asyncio.to_thread(shutil.rmtree, self.folder / old, ignore_errors=True)

    async def settle(self) -> None:
        """Returns when the server has the weights it should have; where it lost them, it loads them again."""
        async with self._lock():
            if self.doubtful and self._tag is not None and await self._load(self._tag):
                self.mended += 1

    @property
    def doubtful(self) -> bool:
        """Connections were made since the server was known to have its weights."""
        return self._tag is not None and self._trusted != self._wire.opened

    def _lock(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._turn is None or self._turn[0] is not loop:
            self._turn = (loop, asyncio.Lock())
        return self._turn[1]

    async def _load(self, tag: str) -> bool:
        """Has the server load the weights; False: it had them."""
        opened = self._wire.opened
        missing = bool(await self._loaded() != tag)
        if missing:
            await self._call("/pause?mode=wait")
            try:
                path = str(self.folder / tag)
                await self._call("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": path}})
                cleared = await self._call("/reset_prefix_cache")
                if isinstance(cleared, dict) and cleared.get("success") is False:
                    raise self._wire.fault("the server kept what it had read under the old weights")
                await self._call("/update_weight_version", {"new_version": tag})
            finally:
                await self._call("/resume", patient=True)
            if await self._loaded() != tag:
                raise self._wire.fault("the server does not have the weights it was given")
        self._trusted = opened
        return missing

    async def _loaded(self) -> Any:
        said = await self._wire.get("/weight_info")
        return said.get("weight_version") if isinstance(said, dict) else None

    async def _call(self, path: str, body: Mapping[str, Any] | None = None, *, patient: bool = False) -> Any:
        try:
            return await self._wire.post(path, body or {}, patient=patient)
        except ConfigError as error:  # words that sound like a prompt's
            raise EngineFault(str(error)) from None


def _write(folder: Path, state: Mapping[str, Any]) -> str:
    """Writes a state of weights below the folder, whole or not at all; returns its name there.

    Raises:
        EngineFault: It cannot be written.
    """
    import torch
    from safetensors.torch import save_file

    try:
        tensors = {name: torch.as_tensor(value).detach().to("cpu").contiguous() for name, value in state.items()}
    except (TypeError, ValueError, RuntimeError) as error:
        raise EngineFault(f"a weight is no tensor: {first_line(error, 120)}") from None
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    places: set[int] = set()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        if tensor.data_ptr() in places:  # a file holds every name's own bytes, also where two are tied
            tensors[name] = tensor.clone()
        places.add(tensor.data_ptr())
    tag = digest.hexdigest()
    if (folder / tag / FILE).is_file():
        return tag
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        try:
            made.chmod(0o755)  # the server may be another user's
            save_file(tensors, made / FILE, metadata={"format": "pt"})
            (made / FILE).chmod(0o644)
            os.replace(made, folder / tag)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            if not (folder / tag / FILE).is_file():  # else another engine was faster
                raise
    except OSError as error:
        raise EngineFault(f"sync_folder {folder}: {error.strerror or error}") from None
    return tag
