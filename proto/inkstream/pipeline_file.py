"""A pipeline in a file: what a run was trained on, so that its batches can be drawn again long after.

    {"pipeline": {...}, "digest": "...", "fingerprint": "...", "renderer_version": 1}

The pipeline has every setting written out under the names of `inkstream.Pipeline`; a trainer saves it in its run's
folder.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inkstream.errors import InvalidPipeline, InvalidRequest
from inkstream.messages import digest
from inkstream.pipeline import Augment, Erase, Filter, Pipeline, Render


@dataclass(frozen=True)
class PipelineFile:
    """What decides every batch of a run, besides epoch and step.

    Args:
        pipeline: The settings.
        fingerprint: Of the dataset.
        renderer_version: Of the renderer that drew.
    """

    pipeline: Pipeline
    fingerprint: str
    renderer_version: int

    @property
    def digest(self) -> str:
        """Equal digests, equal batches."""
        return digest(self.pipeline, self.fingerprint, self.renderer_version)

    def save(self, path: str | Path) -> None:
        """Writes the file.

        Raises:
            OSError: It cannot be written.
        """
        members = {
            "pipeline": asdict(self.pipeline),
            "digest": self.digest,
            "fingerprint": self.fingerprint,
            "renderer_version": self.renderer_version,
        }
        Path(path).write_text(json.dumps(members, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "PipelineFile":
        """Reads a file that `save` wrote.

        Raises:
            InvalidRequest: It is no such file, its settings break rules, or it was changed by hand.
            OSError: It cannot be read.
        """
        try:
            members = json.loads(Path(path).read_text(encoding="utf-8"))
            loaded = cls(pipeline_from(members["pipeline"]), members["fingerprint"], members["renderer_version"])
            saved = members["digest"]
        except InvalidPipeline as error:
            raise InvalidRequest(f"{path} holds settings that make no sense: {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidRequest(f"{path} is no pipeline file of this version of Inkstream: {error!r}") from error
        if loaded.digest != saved:
            raise InvalidRequest(
                f"{path} says digest {saved}, but its contents have {loaded.digest}: it was changed after it was "
                "saved, or saved by another version of Inkstream"
            )
        return loaded


def pipeline_from(members: dict[str, Any]) -> Pipeline:
    """The inverse of `asdict`; a name that a dataclass does not have is a TypeError."""
    render, augment, only = (members.get(name) for name in ("render", "augment", "filter"))
    if augment and augment.get("erase"):
        augment = augment | {"erase": Erase(**augment["erase"])}
    nested = {
        "render": Render(**render or {}),
        "augment": Augment(**augment) if augment else None,
        "filter": Filter(**only) if only else None,
    }
    return Pipeline(**members | nested)
