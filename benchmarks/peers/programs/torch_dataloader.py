"""PyTorch's DataLoader: `torch_dataloader.py FILE WORKERS`.

Workers stay; what they draw reaches the trainer in shared memory, uncopied. Pinned memory would be a copy more, for
nothing where there is no GPU.
"""

import sys

import torch
from drawing import BATCH_SIZE, Drawings
from rate import print_rate
from torch.utils.data import DataLoader, Dataset, RandomSampler

Batch = tuple[torch.Tensor, torch.Tensor]
ENDLESS = 1 << 40  # drawings: no end of an epoch, at which workers wait, is in the figures


class DrawnBatches(Dataset[Batch]):
    """A batch at a time."""

    def __init__(self, drawings: Drawings):
        self.drawings = drawings

    def __len__(self) -> int:
        return len(self.drawings)

    def __getitems__(self, numbers: list[int]) -> Batch:
        pictures, labels = self.drawings.draw_batch(numbers)
        return torch.from_numpy(pictures), torch.from_numpy(labels)


def as_it_is(batch: Batch) -> Batch:
    """Puts nothing together: a batch was drawn in one piece."""
    return batch


if __name__ == "__main__":
    dataset = DrawnBatches(Drawings(sys.argv[1]))
    loader = DataLoader(
        dataset,
        BATCH_SIZE,
        sampler=RandomSampler(dataset, num_samples=ENDLESS),
        num_workers=int(sys.argv[2]),
        collate_fn=as_it_is,
        persistent_workers=True,
        prefetch_factor=4,
    )
    print_rate(len(pictures) for pictures, _ in loader)
