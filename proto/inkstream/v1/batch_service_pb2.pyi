from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Split(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPLIT_UNSPECIFIED: _ClassVar[Split]
    SPLIT_TRAIN: _ClassVar[Split]
    SPLIT_VALIDATION: _ClassVar[Split]
    SPLIT_ALL: _ClassVar[Split]

class Remainder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REMAINDER_UNSPECIFIED: _ClassVar[Remainder]
    REMAINDER_SHORT: _ClassVar[Remainder]
    REMAINDER_PAD: _ClassVar[Remainder]
    REMAINDER_DROP: _ClassVar[Remainder]

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_GRAY: _ClassVar[Encoding]
    ENCODING_RAINBOW: _ClassVar[Encoding]
    ENCODING_ORDER: _ClassVar[Encoding]
    ENCODING_THIRDS: _ClassVar[Encoding]

class Style(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STYLE_UNSPECIFIED: _ClassVar[Style]
    STYLE_ANTIALIASED: _ClassVar[Style]
    STYLE_CLASSIC: _ClassVar[Style]

class Fill(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILL_UNSPECIFIED: _ClassVar[Fill]
    FILL_RANDOM: _ClassVar[Fill]
    FILL_PAPER: _ClassVar[Fill]
    FILL_VALUE: _ClassVar[Fill]

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_UINT8: _ClassVar[DataType]
    DATA_TYPE_INT32: _ClassVar[DataType]
    DATA_TYPE_UINT64: _ClassVar[DataType]
    DATA_TYPE_FLOAT32: _ClassVar[DataType]

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_SPARSE_WORDS: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]

class RottenRecord(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROTTEN_RECORD_UNSPECIFIED: _ClassVar[RottenRecord]
    ROTTEN_RECORD_FAIL: _ClassVar[RottenRecord]
    ROTTEN_RECORD_BLANK: _ClassVar[RottenRecord]

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_UNKNOWN_DATASET: _ClassVar[ErrorReason]
    ERROR_REASON_FINGERPRINT_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_DIGEST_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_EMPTY_SPLIT: _ClassVar[ErrorReason]
    ERROR_REASON_ROTTEN_DATA: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_DRAINING: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_UNAUTHENTICATED: _ClassVar[ErrorReason]
    ERROR_REASON_STARTING: _ClassVar[ErrorReason]
SPLIT_UNSPECIFIED: Split
SPLIT_TRAIN: Split
SPLIT_VALIDATION: Split
SPLIT_ALL: Split
REMAINDER_UNSPECIFIED: Remainder
REMAINDER_SHORT: Remainder
REMAINDER_PAD: Remainder
REMAINDER_DROP: Remainder
ENCODING_UNSPECIFIED: Encoding
ENCODING_GRAY: Encoding
ENCODING_RAINBOW: Encoding
ENCODING_ORDER: Encoding
ENCODING_THIRDS: Encoding
STYLE_UNSPECIFIED: Style
STYLE_ANTIALIASED: Style
STYLE_CLASSIC: Style
FILL_UNSPECIFIED: Fill
FILL_RANDOM: Fill
FILL_PAPER: Fill
FILL_VALUE: Fill
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_UINT8: DataType
DATA_TYPE_INT32: DataType
DATA_TYPE_UINT64: DataType
DATA_TYPE_FLOAT32: DataType
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_NONE: Compression
COMPRESSION_SPARSE_WORDS: Compression
COMPRESSION_ZSTD: Compression
ROTTEN_RECORD_UNSPECIFIED: RottenRecord
ROTTEN_RECORD_FAIL: RottenRecord
ROTTEN_RECORD_BLANK: RottenRecord
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_FIELD: ErrorReason
ERROR_REASON_UNKNOWN_DATASET: ErrorReason
ERROR_REASON_FINGERPRINT_MISMATCH: ErrorReason
ERROR_REASON_DIGEST_MISMATCH: ErrorReason
ERROR_REASON_EMPTY_SPLIT: ErrorReason
ERROR_REASON_ROTTEN_DATA: ErrorReason
ERROR_REASON_SERVER_FULL: ErrorReason
ERROR_REASON_DRAINING: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_UNAUTHENTICATED: ErrorReason
ERROR_REASON_STARTING: ErrorReason

class ListDatasetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "renderer")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    renderer: Renderer
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., renderer: _Optional[_Union[Renderer, _Mapping]] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetDatasetResponse(_message.Message):
    __slots__ = ("dataset", "renderer")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    renderer: Renderer
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ..., renderer: _Optional[_Union[Renderer, _Mapping]] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("name", "fingerprint", "kind", "samples", "classes", "class_counts", "splits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNTS_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    kind: str
    samples: int
    classes: _containers.RepeatedScalarFieldContainer[str]
    class_counts: _containers.RepeatedScalarFieldContainer[int]
    splits: _containers.RepeatedCompositeFieldContainer[SplitSize]
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ..., kind: _Optional[str] = ..., samples: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., class_counts: _Optional[_Iterable[int]] = ..., splits: _Optional[_Iterable[_Union[SplitSize, _Mapping]]] = ...) -> None: ...

class SplitSize(_message.Message):
    __slots__ = ("split", "samples")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    split: Split
    samples: int
    def __init__(self, split: _Optional[_Union[Split, str]] = ..., samples: _Optional[int] = ...) -> None: ...

class Renderer(_message.Message):
    __slots__ = ("version", "self_test_digest")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SELF_TEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    version: int
    self_test_digest: str
    def __init__(self, version: _Optional[int] = ..., self_test_digest: _Optional[str] = ...) -> None: ...

class Pipeline(_message.Message):
    __slots__ = ("dataset", "split", "batch_size", "seed", "render", "augment", "validation", "remainder", "shuffle", "filter", "class_balanced")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    RENDER_FIELD_NUMBER: _ClassVar[int]
    AUGMENT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    REMAINDER_FIELD_NUMBER: _ClassVar[int]
    SHUFFLE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CLASS_BALANCED_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    split: Split
    batch_size: int
    seed: int
    render: Render
    augment: Augment
    validation: float
    remainder: Remainder
    shuffle: bool
    filter: Filter
    class_balanced: bool
    def __init__(self, dataset: _Optional[str] = ..., split: _Optional[_Union[Split, str]] = ..., batch_size: _Optional[int] = ..., seed: _Optional[int] = ..., render: _Optional[_Union[Render, _Mapping]] = ..., augment: _Optional[_Union[Augment, _Mapping]] = ..., validation: _Optional[float] = ..., remainder: _Optional[_Union[Remainder, str]] = ..., shuffle: bool = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., class_balanced: bool = ...) -> None: ...

class Render(_message.Message):
    __slots__ = ("size", "encoding", "style", "line_width_px", "ink", "paper")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    LINE_WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    INK_FIELD_NUMBER: _ClassVar[int]
    PAPER_FIELD_NUMBER: _ClassVar[int]
    size: int
    encoding: Encoding
    style: Style
    line_width_px: float
    ink: int
    paper: int
    def __init__(self, size: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., style: _Optional[_Union[Style, str]] = ..., line_width_px: _Optional[float] = ..., ink: _Optional[int] = ..., paper: _Optional[int] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Augment(_message.Message):
    __slots__ = ("rotate_deg", "shift", "shear", "scale", "zoom", "flip_horizontal", "flip_vertical", "stroke_dropout", "jitter", "line_width", "crop", "erase")
    ROTATE_DEG_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    SHEAR_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ZOOM_FIELD_NUMBER: _ClassVar[int]
    FLIP_HORIZONTAL_FIELD_NUMBER: _ClassVar[int]
    FLIP_VERTICAL_FIELD_NUMBER: _ClassVar[int]
    STROKE_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    LINE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CROP_FIELD_NUMBER: _ClassVar[int]
    ERASE_FIELD_NUMBER: _ClassVar[int]
    rotate_deg: float
    shift: float
    shear: float
    scale: Interval
    zoom: Interval
    flip_horizontal: float
    flip_vertical: float
    stroke_dropout: float
    jitter: float
    line_width: Interval
    crop: float
    erase: Erase
    def __init__(self, rotate_deg: _Optional[float] = ..., shift: _Optional[float] = ..., shear: _Optional[float] = ..., scale: _Optional[_Union[Interval, _Mapping]] = ..., zoom: _Optional[_Union[Interval, _Mapping]] = ..., flip_horizontal: _Optional[float] = ..., flip_vertical: _Optional[float] = ..., stroke_dropout: _Optional[float] = ..., jitter: _Optional[float] = ..., line_width: _Optional[_Union[Interval, _Mapping]] = ..., crop: _Optional[float] = ..., erase: _Optional[_Union[Erase, _Mapping]] = ...) -> None: ...

class Erase(_message.Message):
    __slots__ = ("probability", "area", "aspect", "fill", "value")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    AREA_FIELD_NUMBER: _ClassVar[int]
    ASPECT_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    probability: float
    area: Interval
    aspect: Interval
    fill: Fill
    value: int
    def __init__(self, probability: _Optional[float] = ..., area: _Optional[_Union[Interval, _Mapping]] = ..., aspect: _Optional[_Union[Interval, _Mapping]] = ..., fill: _Optional[_Union[Fill, str]] = ..., value: _Optional[int] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("classes", "countries", "recognized")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    COUNTRIES_FIELD_NUMBER: _ClassVar[int]
    RECOGNIZED_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedScalarFieldContainer[str]
    countries: _containers.RepeatedScalarFieldContainer[str]
    recognized: bool
    def __init__(self, classes: _Optional[_Iterable[str]] = ..., countries: _Optional[_Iterable[str]] = ..., recognized: bool = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("index", "count")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    index: int
    count: int
    def __init__(self, index: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class ResolvePipelineRequest(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: Pipeline
    def __init__(self, pipeline: _Optional[_Union[Pipeline, _Mapping]] = ...) -> None: ...

class ResolvePipelineResponse(_message.Message):
    __slots__ = ("pipeline", "digest", "fingerprint", "renderer", "samples", "steps_per_epoch", "tensors", "classes")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    STEPS_PER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    pipeline: Pipeline
    digest: str
    fingerprint: str
    renderer: Renderer
    samples: int
    steps_per_epoch: int
    tensors: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    classes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pipeline: _Optional[_Union[Pipeline, _Mapping]] = ..., digest: _Optional[str] = ..., fingerprint: _Optional[str] = ..., renderer: _Optional[_Union[Renderer, _Mapping]] = ..., samples: _Optional[int] = ..., steps_per_epoch: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., classes: _Optional[_Iterable[str]] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "dtype", "shape", "paper")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    PAPER_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    paper: bytes
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., paper: _Optional[bytes] = ...) -> None: ...

class StreamBatchesRequest(_message.Message):
    __slots__ = ("pipeline", "digest", "fingerprint", "shard", "epoch", "first_step", "steps", "first_chunk", "chunks", "compression", "rotten_record", "stream_id", "demand_rows_per_s", "renderer")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHUNK_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    ROTTEN_RECORD_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    DEMAND_ROWS_PER_S_FIELD_NUMBER: _ClassVar[int]
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    pipeline: Pipeline
    digest: str
    fingerprint: str
    shard: Shard
    epoch: int
    first_step: int
    steps: int
    first_chunk: int
    chunks: int
    compression: Compression
    rotten_record: RottenRecord
    stream_id: int
    demand_rows_per_s: float
    renderer: Renderer
    def __init__(self, pipeline: _Optional[_Union[Pipeline, _Mapping]] = ..., digest: _Optional[str] = ..., fingerprint: _Optional[str] = ..., shard: _Optional[_Union[Shard, _Mapping]] = ..., epoch: _Optional[int] = ..., first_step: _Optional[int] = ..., steps: _Optional[int] = ..., first_chunk: _Optional[int] = ..., chunks: _Optional[int] = ..., compression: _Optional[_Union[Compression, str]] = ..., rotten_record: _Optional[_Union[RottenRecord, str]] = ..., stream_id: _Optional[int] = ..., demand_rows_per_s: _Optional[float] = ..., renderer: _Optional[_Union[Renderer, _Mapping]] = ...) -> None: ...

class StreamBatchesResponse(_message.Message):
    __slots__ = ("chunk", "part")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    chunk: Chunk
    part: ChunkPart
    def __init__(self, chunk: _Optional[_Union[Chunk, _Mapping]] = ..., part: _Optional[_Union[ChunkPart, _Mapping]] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("epoch", "step", "first_row", "rows", "batch_rows", "tensors", "checksum", "blanks")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    BLANKS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    first_row: int
    rows: int
    batch_rows: int
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    checksum: int
    blanks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., first_row: _Optional[int] = ..., rows: _Optional[int] = ..., batch_rows: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., checksum: _Optional[int] = ..., blanks: _Optional[_Iterable[int]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "dtype", "shape", "compression", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    compression: Compression
    data: bytes
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., compression: _Optional[_Union[Compression, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ChunkPart(_message.Message):
    __slots__ = ("offset_bytes", "total_bytes", "data")
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset_bytes: int
    total_bytes: int
    data: bytes
    def __init__(self, offset_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
