"""The demo model as a folder that transformers and vLLM load. Run by an engine's own Python: `hf_model.py GGUF SOURCE FOLDER`.

SOURCE is the folder of the tokenizer and the chat template (`demo_model/`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gguf
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
BLOCK = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def name_of(tensor: str) -> str:
    """Return what transformers calls a tensor of a GGUF file."""
    stem = tensor.removesuffix(".weight")
    if stem in WHOLE:
        return f"{WHOLE[stem]}.weight"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{BLOCK[part]}.weight"


def config_of(reader: Any, tokenizer: Any) -> Qwen3Config:
    """Return the model's shape, as the file's header has it."""

    def field(name: str) -> Any:
        return reader.fields[f"qwen3.{name}"].contents()

    return Qwen3Config(
        vocab_size=int(next(one for one in reader.tensors if one.name == "token_embd.weight").shape[1]),
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"),
        head_dim=field("attention.key_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        max_position_embeddings=field("context_length"),
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def main(file: Path, source: Path, folder: Path) -> None:
    """Write the folder."""
    reader = gguf.GGUFReader(file)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(source / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=(source / "chat_template.jinja").read_text(),
    )
    config = config_of(reader, tokenizer)
    tokenizer.model_max_length = config.max_position_embeddings
    weights = {
        name_of(one.name): torch.tensor(gguf.quants.dequantize(one.data, one.tensor_type), dtype=torch.float32)
        for one in reader.tensors
    }
    model = Qwen3ForCausalLM(config)
    missing, unknown = model.load_state_dict(weights, strict=False)
    if unknown or set(missing) - {"lm_head.weight"}:
        raise SystemExit(f"the tensors do not fit: {missing} are missing, {unknown} are not known")
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
