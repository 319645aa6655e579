"""PyTorch, eager: the usual loop, inference_mode one by one, update_bn and fvcore's update_bn_stats."""

from collections.abc import Iterator, Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from bnexp.final_pass import shuffled

from ..problem import CLASSES, FILTERS, WIDTHS, Problem


class Contender:
    """A Sequential.

    TensorFlow pads a strided convolution below and to the right, PyTorch above and to the left. Padding by hand would
    cost PyTorch a copy, so it gets the images and the kernels turned by 180 degrees: the same network at full speed.

    Args:
        problem: the work.
        threads: of PyTorch.
        channels_last: the layout of images and kernels.
    """

    block = 1

    def __init__(self, problem: Problem, threads: int, channels_last: bool = False) -> None:
        self.problem, self.threads = problem, threads
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.model = _network(problem).to(memory_format=self.format)
        self.norms = [m for m in self.model if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        data = problem.data
        self.x, self.x_test = self._inputs(data.x_train), self._inputs(data.x_test)
        self.y = torch.from_numpy(data.y_train.astype(np.int64))
        self.order = torch.from_numpy(problem.order.astype(np.int64))

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        weighted = [m for m in self.model if isinstance(m, nn.Linear | nn.Conv2d)]
        names = [self.problem.kernel(number) for number in range(1, 4)] + ["logits/kernel"]
        with torch.no_grad():
            for module, name in zip(weighted, names, strict=True):
                module.weight.copy_(torch.from_numpy(_turned(state[name])))
            weighted[-1].bias.copy_(torch.from_numpy(state["logits/bias"]))
            for norm, layer in zip(self.norms, self.problem.layers, strict=True):
                for own, name in (
                    (norm.weight, "gamma"),
                    (norm.bias, "beta"),
                    (norm.running_mean, "moving_mean"),
                    (norm.running_var, "moving_variance"),
                ):
                    own.copy_(torch.from_numpy(state[f"{layer}/{name}"]))

    def train(self, steps: int) -> np.ndarray:
        torch.set_num_threads(self.threads)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=self.problem.learning_rate)
        self.model.train()
        losses = []
        for rows in self.order[:steps]:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(self.x[rows]), self.y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses)

    def predict(self, count: int) -> np.ndarray:
        torch.set_num_threads(self.threads)
        self.model.eval()
        with torch.inference_mode():
            outputs = [self.model(self.x_test[i : i + 1]) for i in range(count)]
            return torch.cat(outputs).numpy()

    def final_pass(self, kind: str, count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """`paper` is torch.optim.swa_utils.update_bn, `precise_bn` fvcore's update_bn_stats."""
        torch.set_num_threads(self.threads)
        model = deepcopy(self.model).train()
        rows = torch.from_numpy(shuffled(self.x[:count].numpy(), self.problem.seed))
        batches = rows.split(self.problem.batch_size)

        def loader() -> Iterator[torch.Tensor]:
            return (self.x[batch] for batch in batches)

        if kind == "paper":
            torch.optim.swa_utils.update_bn(loader(), model)
        else:
            from fvcore.nn import update_bn_stats  # its package is looked for where it is asked for

            update_bn_stats(model, loader(), len(batches))
        norms = [m for m in model if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        return {
            layer: (norm.running_mean.numpy(), norm.running_var.numpy())
            for layer, norm in zip(self.problem.layers, norms, strict=True)
        }

    def _inputs(self, x: np.ndarray) -> torch.Tensor:
        if self.problem.network == "mlp":
            return torch.from_numpy(x.reshape(len(x), -1).copy())
        return torch.from_numpy(x[:, ::-1, ::-1].transpose(0, 3, 1, 2).copy()).to(memory_format=self.format)


def _turned(kernel: np.ndarray) -> np.ndarray:
    """From TensorFlow's layout to PyTorch's; a convolution's turned by 180 degrees."""
    return kernel.T.copy() if kernel.ndim == 2 else kernel[::-1, ::-1].transpose(3, 2, 0, 1).copy()


def _network(problem: Problem) -> nn.Sequential:
    norm = {"eps": problem.epsilon, "momentum": 1 - problem.decay}
    modules: list[nn.Module] = []
    inputs = 28 * 28 if problem.network == "mlp" else 1
    for number, outputs in enumerate(WIDTHS if problem.network == "mlp" else FILTERS, 1):
        if problem.network == "mlp":
            modules += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs, **norm), nn.Sigmoid()]
        else:
            stride = 1 if number == 1 else 2
            conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            modules += [conv, nn.BatchNorm2d(outputs, **norm), nn.ReLU()]
        inputs = outputs
    if problem.network == "cnn":
        modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*modules, nn.Linear(inputs, CLASSES))
