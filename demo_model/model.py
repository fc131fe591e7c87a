"""A small Qwen3-style decoder: RMSNorm, QK-norm, RoPE, grouped-query attention, SwiGLU, tied embeddings.

Every tensor maps one to one onto llama.cpp's `qwen3` architecture, see convert.py.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


@dataclass
class Config:
    vocab_size: int = 2048
    dim: int = 192
    n_layers: int = 6
    n_heads: int = 6
    n_kv_heads: int = 3
    head_dim: int = 32
    ffn_dim: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    max_len: int = 2048

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rope_tables(config: Config) -> tuple[Tensor, Tensor]:
    """Cosines and sines in the half-split layout that llama.cpp uses for qwen3."""
    inverse = 1.0 / config.rope_theta ** (torch.arange(0, config.head_dim, 2).float() / config.head_dim)
    angles = torch.outer(torch.arange(config.max_len).float(), inverse)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    rotated = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + rotated * sin


class Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, head_dim = config.dim, config.head_dim
        q_dim, kv_dim = config.n_heads * head_dim, config.n_kv_heads * head_dim
        self.attn_norm = RMSNorm(dim, config.norm_eps)
        self.ffn_norm = RMSNorm(dim, config.norm_eps)
        self.q_norm = RMSNorm(head_dim, config.norm_eps)
        self.k_norm = RMSNorm(head_dim, config.norm_eps)
        self.wq = nn.Linear(dim, q_dim, bias=False)
        self.wk = nn.Linear(dim, kv_dim, bias=False)
        self.wv = nn.Linear(dim, kv_dim, bias=False)
        self.wo = nn.Linear(q_dim, dim, bias=False)
        self.gate = nn.Linear(dim, config.ffn_dim, bias=False)
        self.up = nn.Linear(dim, config.ffn_dim, bias=False)
        self.down = nn.Linear(config.ffn_dim, dim, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: dict[str, Tensor] | None, keep: Tensor | None
    ) -> Tensor:
        """One layer. With `keep`, only these positions (of batch and time, flattened) come out."""
        x = x + self.wo(self.attention(self.attn_norm(x), cos, sin, cache))
        if keep is not None:
            x = x.flatten(0, 1)[keep]
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))

    def attention(self, h: Tensor, cos: Tensor, sin: Tensor, cache: dict[str, Tensor] | None) -> Tensor:
        batch, time, _ = h.shape
        heads, kv_heads, head_dim = self.config.n_heads, self.config.n_kv_heads, self.config.head_dim
        q = apply_rope(self.q_norm(self.wq(h).view(batch, time, heads, head_dim)).transpose(1, 2), cos, sin)
        k = apply_rope(self.k_norm(self.wk(h).view(batch, time, kv_heads, head_dim)).transpose(1, 2), cos, sin)
        v = self.wv(h).view(batch, time, kv_heads, head_dim).transpose(1, 2)
        if cache is not None:
            if "k" in cache:
                k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
            cache["k"], cache["v"] = k, v
        with torch.autocast(
            "cpu", enabled=False
        ):  # for short texts the bf16 kernel is several times slower than this one
            out = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=time > 1, enable_gqa=True)
        return out.transpose(1, 2).reshape(batch, time, -1)


class Model(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        cos, sin = rope_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if name.endswith(("wo.weight", "down.weight")):
                nn.init.zeros_(p)
            elif p.ndim == 2:
                nn.init.normal_(p, std=0.02 if "embed" in name else p.shape[1] ** -0.5)

    def hidden(
        self, ids: Tensor, position: int = 0, caches: list[dict[str, Tensor]] | None = None, keep: Tensor | None = None
    ) -> Tensor:
        """The last layer's states of `ids` [batch, time], of all positions or of those in `keep`."""
        x = self.embed(ids)
        here = slice(position, position + ids.shape[1])
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            cache = caches[i] if caches is not None else None
            x = block(x, self.cos[here], self.sin[here], cache, keep if i == last else None)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embed.weight)

    @torch.no_grad()
    def generate(self, ids: list[int], stop: int, limit: int = 64) -> list[int]:
        """Greedy decoding, for quick looks during the training; llama.cpp does the serving."""
        caches: list[dict[str, Tensor]] = [{} for _ in self.blocks]
        out: list[int] = []
        x, position = torch.tensor([ids]), 0
        while len(out) < limit:
            hidden = self.hidden(x, position, caches)
            position += x.shape[1]
            token = int(self.logits(hidden[:, -1]).argmax())
            if token == stop:
                break
            out.append(token)
            x = torch.tensor([[token]])
        return out
