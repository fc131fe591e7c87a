"""A BERT model of a few kilobytes with weights by lot, as a GGUF file: of embeddings, or a reranker. It knows no meaning."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from random import Random

WIDTH, HEADS, HIDDEN, CONTEXT = 32, 4, 64, 128
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = "a the cat dog sat on mat crown tower jewel what is where king queen ? .".split()
MEAN, RANK = 1, 4

_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_ALIGNMENT = 32


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key: str, value: object) -> bytes:
    head = _text(key)
    match value:
        case bool():
            return head + struct.pack("<I?", _BOOL, value)
        case int():
            return head + struct.pack("<II", _UINT32, value)
        case float():
            return head + struct.pack("<If", _FLOAT32, value)
        case str():
            return head + struct.pack("<I", _STRING) + _text(value)
        case list():
            texts = all(isinstance(one, str) for one in value)
            kind = _STRING if texts else _INT32
            body = b"".join(_text(str(one)) if texts else struct.pack("<i", one) for one in value)
            return head + struct.pack("<IIQ", _ARRAY, kind, len(value)) + body
    raise TypeError(key)


def _shapes(vocabulary: int, pooling: int) -> dict[str, Sequence[int]]:
    shapes: dict[str, Sequence[int]] = {
        "token_embd.weight": (WIDTH, vocabulary),
        "position_embd.weight": (WIDTH, CONTEXT),
        "token_types.weight": (WIDTH, 2),
        "token_embd_norm": (WIDTH,),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.attn_output_norm": (WIDTH,),
        "blk.0.ffn_up": (WIDTH, HIDDEN),
        "blk.0.ffn_down": (HIDDEN, WIDTH),
        "blk.0.layer_output_norm": (WIDTH,),
    }
    if pooling == RANK:
        shapes |= {"cls": (WIDTH, WIDTH), "cls.output": (WIDTH, 1)}
    whole: dict[str, Sequence[int]] = {}
    for name, shape in shapes.items():
        if name.endswith(".weight"):
            whole[name] = shape
        else:
            whole |= {f"{name}.weight": shape, f"{name}.bias": shape[-1:]}
    return whole


def _values(name: str, count: int, random: Random) -> bytes:
    if "norm" in name:
        return array("f", [float(name.endswith("weight"))] * count).tobytes()
    return array("f", [random.gauss(0, 0.3) for _ in range(count)]).tobytes()


def write_bert(path: Path, name: str, pooling: int) -> Path:
    """Write a model; `pooling` tells what it is for: `MEAN` or `RANK`."""
    vocabulary = [*SPECIAL, *(f"\u2581{word}" for word in WORDS), *"abcdefghijklmnopqrstuvwxyz"]
    metadata = {
        "general.architecture": "bert",
        "general.name": name,
        "bert.context_length": CONTEXT,
        "bert.embedding_length": WIDTH,
        "bert.feed_forward_length": HIDDEN,
        "bert.block_count": 1,
        "bert.attention.head_count": HEADS,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": pooling,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token in vocabulary],
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }
    random = Random(1)
    infos, data = b"", b""
    shapes = _shapes(len(vocabulary), pooling)
    for tensor, shape in shapes.items():
        infos += _text(tensor) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        data += _values(tensor, count, random)
        data += bytes(-len(data) % _ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    head += b"".join(_pair(key, value) for key, value in metadata.items()) + infos
    path.write_bytes(head + bytes(-len(head) % _ALIGNMENT) + data)
    return path
