"""Make antiphon-demo from nothing: data and tokenizer, training, GGUF, evaluation. One command, nothing downloaded."""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MODEL = HERE.parent / "src" / "antiphon" / "backends" / "llama" / "demo" / "antiphon-demo.gguf"


def step(script: str, *arguments: object) -> None:
    print("==", script, *arguments, flush=True)
    subprocess.run([sys.executable, HERE / script, *map(str, arguments)], check=True)  # noqa: S603 (our own scripts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=240, help="of training")
    parser.add_argument("--workers", type=int, default=2, help="training processes, one core each")
    parser.add_argument("--init", type=Path, help="train on from this checkpoint or GGUF file")
    parser.add_argument(
        "--new-tokenizer", action="store_true", help="train tokenizer.json again; then start without --init"
    )
    parser.add_argument("--checkpoint", type=Path, default=Path("antiphon-demo.pt"))
    parser.add_argument("--out", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=60, help="evaluated conversations per kind")
    args = parser.parse_args()
    if args.new_tokenizer:
        step("tokenizer.py")
    start = ["--init", args.init] if args.init else []
    step("train.py", "--minutes", args.minutes, "--workers", args.workers, "--out", args.checkpoint, *start)
    step("convert.py", args.checkpoint, args.out)
    step("evaluate.py", args.out, "--count", args.count, "--out", HERE / "evaluation.txt")


if __name__ == "__main__":
    main()
