"""Shows hostile text to a judge: between marks that it cannot have known, with nothing in it that a template obeys.

Three defences, none of which asks the judge to be clever. The marks carry a nonce, a keyed hash of what is judged, so a
text cannot close them or write the verdict's line itself. Control tokens of chat templates are broken up, invisible
and direction-changing characters removed, every kind of line break made a plain one. Texts are joined, never used as
or put through a format string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

#: Bytes of a nonce: short enough for a small model to repeat, 16 million ways to guess wrong.
NONCE_BYTES = 3
#: What common chat templates obey, whichever one will be used.
_CONTROL = re.compile(
    r"<[|｜][^<>\n]{1,40}[|｜]>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|</?s>|<(?:start|end)_of_(?:turn|text|image)>|<(?:bos|eos|pad|unk)>",
    re.IGNORECASE,
)
_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Controls, surrogates, zero widths, direction marks, tags: shown as nothing, read by a tokenizer.
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def neutralise(text: str, max_chars: int) -> str:
    """A hostile text, harmless: control tokens broken up, hidden characters removed, the middle of a long one left out.

    Args:
        text: As it was written.
        max_chars: Longest text shown; of a longer one, its two ends.
    """
    shown = _HIDDEN.sub("", _BREAKS.sub("\n", text))
    shown = _CONTROL.sub(lambda match: f"{match[0][0]} {match[0][1:]}", shown)
    if len(shown) <= max_chars:
        return shown
    head, tail = max_chars - max_chars // 2, max_chars // 2
    left_out = len(shown) - head - tail
    return f"{shown[:head]}\n[{left_out} characters left out]\n{shown[len(shown) - tail :]}"


def make_nonce(texts: Sequence[str], key: bytes) -> str:
    """A short word that none of the texts contains and whoever does not know the key cannot guess.

    Args:
        texts: What will be shown.
        key: Up to 64 secret bytes; the same key and texts give the same nonce, so that a run can be repeated.
    """
    folded = [text.casefold() for text in texts]
    content = b"\0".join(text.encode("utf-8", "surrogatepass") for text in texts)
    for attempt in range(2 ** (8 * NONCE_BYTES)):  # a text that held them all would be larger than memory
        nonce = blake2b(attempt.to_bytes(8, "big") + content, digest_size=NONCE_BYTES, key=key).hexdigest()
        if not any(nonce in text for text in folded):
            return nonce
    raise ValueError("the texts contain every nonce")


def fenced(name: str, text: str, nonce: str) -> str:
    """A text between marks that carry the nonce."""
    return f"<{name}-{nonce}>\n{text}\n</{name}-{nonce}>"
