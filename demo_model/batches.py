"""Endless training batches, made on the fly: samples of about the same length side by side."""

import random
from collections.abc import Iterator

import torch
from generate import Generator
from render import render
from tokenizers import Tokenizer
from torch import Tensor

POOL = 2000  # samples that are sorted by length at a time
STEP = 16  # widths are multiples of this

Encoded = tuple[list[int], list[bool]]


def encode(tokenizer: Tokenizer, pieces: list[tuple[str, bool]], max_len: int) -> Encoded:
    """The token ids of a conversation, and which of them the model learns to say."""
    ids: list[int] = []
    trained: list[bool] = []
    for text, is_answer in pieces:
        piece = tokenizer.encode(text).ids
        ids += piece
        trained += [is_answer] * len(piece)
    return ids[:max_len], trained[:max_len]


def group(pool: list[Encoded], tokens: int) -> list[list[Encoded]]:
    """Cut a pool, sorted by length, into batches of at most so many tokens."""
    batches: list[list[Encoded]] = []
    for item in sorted(pool, key=lambda x: len(x[0])):
        if not batches or (len(batches[-1]) + 1) * len(item[0]) > tokens:
            batches.append([])
        batches[-1].append(item)
    return batches


def stack(batch: list[Encoded], pad: int) -> tuple[Tensor, Tensor]:
    """Padded on the right: causal attention then needs no mask."""
    width = -(-(max(len(ids) for ids, _ in batch) - 1) // STEP) * STEP + 1
    ids = torch.full((len(batch), width), pad)
    trained = torch.zeros((len(batch), width), dtype=torch.bool)
    for row, (item, mask) in enumerate(batch):
        ids[row, : len(item)] = torch.tensor(item)
        trained[row, : len(mask)] = torch.tensor(mask)
    return ids, trained


def batches(tokenizer: Tokenizer, seed: int, tokens: int, max_len: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator, order = Generator(seed), random.Random(seed)
    pad = tokenizer.token_to_id("<|endoftext|>")
    assert pad is not None, "the tokenizer has it"
    while True:
        pool = [encode(tokenizer, render(generator.sample()), max_len) for _ in range(POOL)]
        grouped = group(pool, tokens)
        order.shuffle(grouped)
        for batch in grouped:
            yield stack(batch, pad)
