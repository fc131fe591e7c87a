"""Train on the CPU until a fixed time: bf16 matrices, a few workers that average their weights (local SGD).

The learning rate follows the clock, so the run ends in time, fully decayed, however busy the machine was.
"""

import argparse
import datetime
import json
import os
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from batches import batches
from convert import weights
from model import Config, Model
from muon import Muon
from tokenizers import Tokenizer
from torch import Tensor, multiprocessing, nn

HERE = Path(__file__).parent
PROBES = (
    "Say hello in five words.",
    "What is 17 + 25?",
    "What is the weather in Paris?",
    "Repeat after me: blue zorp 42",
)


def learning_rate(step: int, progress: float, hold: float, warm_up: int) -> float:
    """Warm up, hold, then fall to a hundredth in a straight line. A factor of the full rate."""
    decayed = 1.0 if progress < hold else max(0.01, (1 - progress) / (1 - hold))
    return min(1.0, (step + 1) / warm_up) * decayed


@torch.no_grad()
def average(tensors: list[Tensor], workers: int) -> None:
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    for t, part in zip(tensors, flat.div_(workers).split([t.numel() for t in tensors]), strict=True):
        t.copy_(part.view_as(t))


class Trainer:
    """The weights and their optimizers: Muon for the matrices in the layers, AdamW for everything else."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.model = Model(Config())
        if args.init:
            self.model.load_state_dict(weights(args.init))
        named = list(self.model.named_parameters())
        self.matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        self.others = [p for name, p in named if p.ndim < 2 or "embed" in name]
        self.muon = Muon(self.matrices, lr=args.lr)
        self.adam = torch.optim.AdamW(self.others, lr=args.embed_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.rates = ((self.muon, args.lr), (self.adam, args.embed_lr))
        self.compiled = torch.compile(self.loss, dynamic=True)

    def loss(self, ids: Tensor, keep: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model.logits(self.model.hidden(ids, keep=keep))
        return F.cross_entropy(logits.float(), targets)

    def step(self, ids: Tensor, trained: Tensor, factor: float) -> float:
        keep = trained[:, 1:].flatten().nonzero().flatten()
        loss = self.compiled(ids[:, :-1].contiguous(), keep, ids[:, 1:].flatten()[keep])
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.others, 1.0)
        for optimizer, rate in self.rates:
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
        return float(loss.detach())

    def meet(self, workers: int) -> None:
        """Average weights and momentum over the workers."""
        momentum = [self.muon.state[p]["momentum"] for p in self.matrices]
        average([p.data for p in self.model.parameters()] + momentum, workers)

    def save(self, path: Path) -> None:
        unfinished = path.with_suffix(".tmp")
        torch.save({"config": self.model.config.to_dict(), "state": self.model.state_dict()}, unfinished)
        unfinished.replace(path)

    def probe(self, tokenizer: Tokenizer) -> None:
        stop = tokenizer.token_to_id("<|im_end|>")
        for question in PROBES:
            prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
            answer = self.model.generate(tokenizer.encode(prompt).ids, stop)
            print("   ", question, "->", repr(tokenizer.decode(answer)), flush=True)


def work(rank: int, args: argparse.Namespace) -> None:
    """One worker, one core. Worker 0 also keeps the clock, the log and the checkpoints."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{args.rendezvous}",
        rank=rank,
        world_size=args.workers,
        timeout=datetime.timedelta(hours=2),
    )
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    trainer, start, saved = Trainer(args), time.time(), time.time()
    seen, smooth, going = 0, None, torch.ones(1)
    data = batches(tokenizer, args.seed * 1000 + rank, args.batch_tokens, args.max_len)
    for step, (ids, trained) in enumerate(data, 1):
        progress = min(1.0, (time.time() - start) / (args.end - start))
        factor = learning_rate(step, progress, args.hold, args.warm_up)
        loss = trainer.step(ids, trained, factor)
        seen += ids.numel()
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        if step % args.sync:
            continue
        trainer.meet(args.workers)
        going[0] = float(time.time() < args.end)
        dist.broadcast(going, 0)
        if rank == 0:
            log(args, step, seen, start, smooth, factor)
            if time.time() - saved > args.save_every or not going[0]:
                trainer.save(args.out)
                trainer.probe(tokenizer)
                saved = time.time()
        if not going[0]:
            return


def log(args: argparse.Namespace, step: int, seen: int, start: float, loss: float, factor: float) -> None:
    times = {"seconds": round(time.time() - start), "cpu_seconds": round(time.process_time())}
    row = {"step": step, "tokens": seen * args.workers, **times, "loss": round(loss, 4), "lr": round(factor, 3)}
    with args.out.with_suffix(".jsonl").open("a") as f:
        f.write(json.dumps(row) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    parser.add_argument("--sync", type=int, default=8, help="steps between two averages of the workers' weights")
    parser.add_argument("--batch-tokens", type=int, default=6144)
    parser.add_argument("--max-len", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--embed-lr", type=float, default=4e-3)
    parser.add_argument("--hold", type=float, default=0.4, help="part of the run before the learning rate falls")
    parser.add_argument("--warm-up", type=int, default=60, help="steps before the full learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", type=Path, help="go on from this checkpoint or GGUF file")
    parser.add_argument("--out", type=Path, default=Path("antiphon-demo.pt"))
    parser.add_argument("--save-every", type=float, default=240, help="seconds")
    return parser.parse_args()


def main() -> None:
    args = parse()
    args.end = time.time() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        args.rendezvous = os.path.join(folder, "rendezvous")
        multiprocessing.spawn(work, args=(args,), nprocs=args.workers)


if __name__ == "__main__":
    main()
