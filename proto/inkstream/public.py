"""All that `import inkstream` offers, loaded at the first use of any of it."""

from inkstream.batch import Batch as Batch
from inkstream.client import Client as Client
from inkstream.client import connect as connect
from inkstream.credentials import TLS as TLS
from inkstream.descriptions import DatasetInfo as DatasetInfo
from inkstream.descriptions import RendererInfo as RendererInfo
from inkstream.descriptions import Resolved as Resolved
from inkstream.descriptions import SplitInfo as SplitInfo
from inkstream.descriptions import TensorSpec as TensorSpec
from inkstream.errors import (
    AccessDenied as AccessDenied,
)
from inkstream.errors import (
    CorruptChunk as CorruptChunk,
)
from inkstream.errors import (
    DeadlineExceeded as DeadlineExceeded,
)
from inkstream.errors import (
    EmptySplit as EmptySplit,
)
from inkstream.errors import (
    ForkedClient as ForkedClient,
)
from inkstream.errors import (
    InkstreamError as InkstreamError,
)
from inkstream.errors import (
    InvalidPipeline as InvalidPipeline,
)
from inkstream.errors import (
    InvalidRequest as InvalidRequest,
)
from inkstream.errors import (
    MissingFramework as MissingFramework,
)
from inkstream.errors import (
    RottenData as RottenData,
)
from inkstream.errors import (
    ServerDraining as ServerDraining,
)
from inkstream.errors import (
    ServerFailure as ServerFailure,
)
from inkstream.errors import (
    ServerFull as ServerFull,
)
from inkstream.errors import (
    ServerMismatch as ServerMismatch,
)
from inkstream.errors import (
    ServersDisagree as ServersDisagree,
)
from inkstream.errors import (
    ServerUnavailable as ServerUnavailable,
)
from inkstream.errors import (
    UnknownDataset as UnknownDataset,
)
from inkstream.errors import (
    Violation as Violation,
)
from inkstream.pipeline import Augment as Augment
from inkstream.pipeline import Erase as Erase
from inkstream.pipeline import Filter as Filter
from inkstream.pipeline import Pipeline as Pipeline
from inkstream.pipeline import Render as Render
from inkstream.plan import Cursor as Cursor
from inkstream.stats import ServerStats as ServerStats
from inkstream.stats import StreamStats as StreamStats
from inkstream.stream import Stream as Stream
