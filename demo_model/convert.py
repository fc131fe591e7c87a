"""Write the trained model as a GGUF file of llama.cpp's `qwen3` architecture."""

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import torch
from gguf import GGMLQuantizationType, LlamaFileType, TokenType
from model import Config, Model
from tokenizer import SPECIAL

HERE = Path(__file__).parent
QUANT = {"f32": GGMLQuantizationType.F32, "f16": GGMLQuantizationType.F16, "q8_0": GGMLQuantizationType.Q8_0}
FILE_TYPE = {"f32": LlamaFileType.ALL_F32, "f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0}
WHOLE = {"embed.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}  # tied: there is no output matrix
BLOCK = {
    "attn_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "q_norm": "attn_q_norm",
    "k_norm": "attn_k_norm",
    "wq": "attn_q",
    "wk": "attn_k",
    "wv": "attn_v",
    "wo": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def tensor_name(key: str) -> str:
    if key in WHOLE:
        return WHOLE[key]
    _, layer, part, _ = key.split(".")
    return f"blk.{layer}.{BLOCK[part]}.weight"


def add_shape(writer: gguf.GGUFWriter, config: Config, context: int) -> None:
    writer.add_context_length(context)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.ffn_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)


def vocabulary(tokenizer: dict[str, Any], size: int) -> tuple[list[str], list[TokenType]]:
    """Tokens by id, and their kinds. Ids that the tokenizer does not use get a name all the same."""
    tokens = [f"[UNUSED_{i}]" for i in range(size)]
    kinds = [TokenType.UNUSED] * size
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], kinds[i] = token, TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        i, token = added["id"], added["content"]
        tokens[i], kinds[i] = token, TokenType.CONTROL if token in SPECIAL else TokenType.USER_DEFINED
    return tokens, kinds


def add_tokenizer(writer: gguf.GGUFWriter, config: Config) -> None:
    tokenizer = json.loads((HERE / "tokenizer.json").read_text())
    tokens, kinds = vocabulary(tokenizer, config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template((HERE / "chat_template.jinja").read_text())


def convert(checkpoint: Path, out: Path, kind: str = "q8_0", context: int = 8192) -> None:
    saved = torch.load(checkpoint)
    config = Config(**saved["config"])
    unfinished = out.with_suffix(".tmp")
    writer = gguf.GGUFWriter(unfinished, "qwen3")
    writer.add_name("antiphon-demo")
    writer.add_description("A tiny chat model trained from scratch on generated conversations, for demos and tests.")
    writer.add_license("Apache-2.0")
    writer.add_file_type(FILE_TYPE[kind])
    add_shape(writer, config, context)
    add_tokenizer(writer, config)
    for key, tensor in saved["state"].items():
        values = tensor.float().numpy()
        quant = QUANT[kind] if values.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(tensor_name(key), gguf.quants.quantize(values, quant), raw_dtype=quant)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(out)  # whoever loads the file meanwhile sees the old or the new one, whole
    print(out, round(out.stat().st_size / 1e6, 2), "MB")


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint, or of a GGUF file made of one: a little rounded then."""
    if path.suffix != ".gguf":
        state: dict[str, torch.Tensor] = torch.load(path)["state"]
        return state
    keys = {tensor_name(key): key for key in Model(Config()).state_dict()}
    return {
        keys[tensor.name]: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        for tensor in gguf.GGUFReader(path).tensors
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=QUANT, default="q8_0")
    parser.add_argument("--context", type=int, default=8192)
    args = parser.parse_args()
    convert(args.checkpoint, args.out, args.type, args.context)


if __name__ == "__main__":
    main()
