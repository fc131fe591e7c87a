"""Train the byte-level BPE tokenizer.

llama.cpp splits the text with its `qwen2` expression. The merges are learned with a finer split that keeps spaces
apart from words: " Paris" and "Paris" then share their pieces, which makes copying far easier for a tiny model. A few
function words, rarely copied, get their leading space back in merges at the end. Every digit is a token.
"""

import argparse
import json
import re
from pathlib import Path

from generate import Generator
from render import render
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # control tokens in the GGUF
MARKUP = [
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<tools>",
    "</tools>",
]
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FINE = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s"
FUNCTION_WORDS = """the a an of to is in and for from you your me my it on with was that I do not will can what are have
this at by as or if so than then we they he she his her their would be has had who how when where why which about user
call result""".split()


def byte_level(expression: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(expression), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def corpus(samples: int) -> list[str]:
    generator, markup = Generator(seed=7), re.compile("|".join(map(re.escape, SPECIAL + MARKUP)))
    texts = ("".join(text for text, _ in render(generator.sample())) for _ in range(samples))
    return [piece for text in texts for piece in markup.split(text) if piece]


def learn(texts: list[str], vocab_size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges, without the special tokens."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = byte_level(FINE)
    size = vocab_size - len(SPECIAL) - len(MARKUP) - len(FUNCTION_WORDS)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(learner.to_str())["model"]
    vocab, merges = model["vocab"], [(a, b) for a, b in model["merges"]]
    for word in FUNCTION_WORDS:
        if word in vocab and "Ġ" + word not in vocab:
            merges.append(("Ġ", word))
            vocab["Ġ" + word] = len(vocab)
    return vocab, merges


def build(samples: int, vocab_size: int) -> Tokenizer:
    vocab, merges = learn(corpus(samples), vocab_size)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = byte_level(QWEN2)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP])
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "tokenizer.json")
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=25000)
    args = parser.parse_args()
    tokenizer = build(args.samples, args.vocab)
    tokenizer.save(str(args.out))
    print(args.out, tokenizer.get_vocab_size(), "tokens")


if __name__ == "__main__":
    main()
