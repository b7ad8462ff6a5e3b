"""Train MiniLM-L6-v2 for some steps and write both states, as bf16 (Em) and f32 (Ef).

python train_minilm.py MODEL OUT. Texts: docstrings of the library of this Python; contrastive loss
within the batch; AdamW; embeddings frozen. Runs in the environment of minilm.py.
"""

from __future__ import annotations

import ast
import random
import sys
import sysconfig
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

STEPS, BATCH = 40, 16


def main() -> None:
    """Train and write."""
    folder, out = sys.argv[1], Path(sys.argv[2])
    torch.manual_seed(0)
    torch.set_num_threads(2)
    tokens = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    for name, weights in model.named_parameters():
        weights.requires_grad_("embeddings" not in name)
    old = {name: value.detach().clone() for name, value in model.state_dict().items()}
    train(model, tokens, pairs())
    new = {name: value.detach() for name, value in model.state_dict().items()}
    for letter, kind in (("Em", torch.bfloat16), ("Ef", torch.float32)):
        for side, state in (("old", old), ("new", new)):
            write(out / letter / side, state, kind)


def pairs() -> list[tuple[str, str]]:
    """Names of functions and classes, and what their docstrings say."""
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = ast.get_docstring(node) or ""
                if len(text) > 40:
                    found.append((node.name.replace("_", " "), text[:300]))
    random.Random(0).shuffle(found)
    return found


def train(model: torch.nn.Module, tokens: AutoTokenizer, texts: list[tuple[str, str]]) -> None:
    """Some steps."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-5, weight_decay=0.01)

    def embed(batch: list[str]) -> torch.Tensor:
        given = tokens(batch, padding=True, truncation=True, max_length=48, return_tensors="pt")
        mask = given["attention_mask"][..., None]
        states = (model(**given).last_hidden_state * mask).sum(1) / mask.sum(1)
        return functional.normalize(states, dim=-1)

    model.train()
    for step in range(STEPS):
        batch = [texts[(step * BATCH + index) % len(texts)] for index in range(BATCH)]
        names, said = ([pair[side] for pair in batch] for side in (0, 1))
        loss = functional.cross_entropy(embed(names) @ embed(said).T * 20, torch.arange(BATCH))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def write(folder: Path, state: dict[str, torch.Tensor], kind: torch.dtype) -> None:
    """A state as safetensors of one type."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: (value.to(kind) if value.is_floating_point() else value).contiguous()
        for name, value in state.items()
    }
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
