"""Batches of frames as NumPy sees them: views on the receiver's memory, columns on the array that C fills.

SPDX-License-Identifier: MIT

The public names are those of hwgw.rx, which says how long a batch and its views live.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .native import ffi, lib

if TYPE_CHECKING:
    from .rx import Receiver

NO_FLOW: int = lib.HWGW_FLOW_NONE


def _dtype(struct: str) -> np.dtype[Any]:
    """The NumPy dtype of a C struct, with the compiler's own offsets."""
    kind = ffi.typeof(struct)
    names, formats, offsets = [], [], []
    for name, field in kind.fields:
        pointer = field.type.kind == "pointer"
        names.append(name)
        formats.append("u8" if pointer else f"u{ffi.sizeof(field.type)}")
        offsets.append(field.offset)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": ffi.sizeof(kind)})


FRAME = _dtype("struct hwgw_frame")
"""A received frame as the C side sees it; data is an address."""
PAYLOAD = _dtype("struct hwgw_payload")
"""Where the UDP payload of a frame lies: offset, len, flow; drop is the counter of the cause when there is none."""


class _Window:
    """Memory of a receiver as NumPy sees it; keeps it mapped."""

    __slots__ = ("__array_interface__", "_keep")

    def __init__(self, keep: Any, address: int, length: int) -> None:
        self._keep = keep
        self.__array_interface__ = {"version": 3, "shape": (length,), "typestr": "|u1", "data": (address, True)}


class Views(Sequence[NDArray[np.uint8]]):
    """The bytes of each frame of a batch: read-only NumPy views on the receiver's memory, made when asked for."""

    __slots__ = ("_batch", "_is_payload")

    def __init__(self, batch: Batch, is_payload: bool) -> None:
        self._batch, self._is_payload = batch, is_payload

    def __len__(self) -> int:
        return len(self._batch)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.uint8]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """One view, or a list of them for a slice."""
        batch = self._batch
        frames, keep = batch._held()
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(batch)))]
        at = index + len(batch) if index < 0 else index
        if not 0 <= at < len(batch):
            raise IndexError(f"frame {index} of a batch of {len(batch)}")
        address, length = int(frames["data"][at]), int(frames["len"][at])
        if self._is_payload:
            payload = batch.payloads[at]
            address, length = address + int(payload["offset"]), int(payload["len"])
        return np.asarray(_Window(keep, address, length))


class Batch:
    """Frames of one recv, in the order in which they came. Valid until release(), the next recv() or close()."""

    __slots__ = ("_cnt", "_frames", "_keep", "_payloads", "_receiver")

    def __init__(self, receiver: Receiver, keep: Any, frames: NDArray[np.void]) -> None:
        self._receiver: Receiver | None = receiver
        self._keep = keep
        self._frames = frames
        self._cnt = len(frames)
        self._payloads: NDArray[np.void] | None = None

    def __len__(self) -> int:
        return self._cnt

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self.data)

    @property
    def frames(self) -> NDArray[np.void]:
        """The C frame array itself, dtype FRAME, read-only."""
        return self._held()[0]

    def _held(self) -> tuple[NDArray[np.void], Any]:
        """The frame array and what keeps the memory mapped that it points into, also while another thread closes."""
        keep = self._keep
        if self._receiver is None or keep is None:
            raise UsageError("batch: it was released (by release(), the next recv() or close()); copy what is kept")
        return self._frames, keep

    @property
    def data(self) -> Views:
        """data[i] is the whole frame (Ethernet; with the udp backend the payload) as a read-only view."""
        return Views(self, False)

    @property
    def payload(self) -> Views:
        """payload[i] is the UDP payload of the frame as a read-only view; empty when it is not of a group."""
        return Views(self, True)

    @property
    def payloads(self) -> NDArray[np.void]:
        """Where the UDP payloads lie, dtype PAYLOAD: parsed in C, once, when asked for. Whole headers are checked."""
        receiver = self._receiver
        frames, keep = self._held()
        if self._payloads is None and receiver is not None:
            out = np.zeros(self._cnt, PAYLOAD)
            lib.hwgw_rx_payloads(
                receiver._flows,
                receiver._flow_cnt,
                frames_of(frames),
                self._cnt,
                ffi.from_buffer("struct hwgw_payload[]", out, require_writable=True),
            )
            self._payloads = out
        del keep
        return self._payloads  # type: ignore[return-value]

    @property
    def length(self) -> NDArray[np.uint32]:
        """Bytes of each frame."""
        return self.frames["len"]

    @property
    def timestamp_ns(self) -> NDArray[np.uint64]:
        """Time of each frame by the clock that Receiver.clock names; 0 = none."""
        return self.frames["ts_ns"]

    @property
    def queue(self) -> NDArray[np.uint16]:
        """Receive queue of each frame."""
        return self.frames["queue"]

    @property
    def flow(self) -> NDArray[np.uint16]:
        """Index of the group of each frame where the backend knows it (udp), else 0xFFFF; see payloads."""
        return self.frames["flow"]

    @property
    def t_rx(self) -> NDArray[np.uint64]:
        """TSC ticks at which each frame was seen; hwgw.native.lib.hwgw_ticks_to_ns makes ns of a difference."""
        return self.frames["t_rx"]

    def gather(
        self, offset: int, width: int, *, payload: bool = False, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Copy width bytes from offset of every frame (or payload) into an (n, width) array; short ones end in zeros.

        The copy is made in C without the GIL. out: an array to fill instead, C-contiguous, shape (n, width).
        """
        frames, keep = self._held()  # the memory stays mapped while this call has it
        for name, value in (("offset", offset), ("width", width)):
            if not 0 <= value <= 1 << 20:
                raise UsageError(f"gather: {name} {value}: allowed are 0 to {1 << 20}")
        if out is None:
            out = np.empty((self._cnt, width), np.uint8)
        elif out.shape != (self._cnt, width) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise UsageError(f"gather: out must be a C-contiguous uint8 array of shape ({self._cnt}, {width})")
        if out.size:
            where = ffi.from_buffer("struct hwgw_payload[]", self.payloads) if payload else ffi.NULL
            target = ffi.from_buffer("uint8_t[]", out, require_writable=True)
            lib.hwgw_rx_gather(frames_of(frames), where, self._cnt, offset, width, target)
        del keep
        return out

    @property
    def released(self) -> bool:
        """Whether the frames were given back."""
        return self._receiver is None

    def release(self) -> None:
        """Give the frames back to the driver; a second call does nothing."""
        if self._receiver is not None:
            self._receiver._release(self)

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<hwgw.rx.Batch of {self._cnt} frames{', released' if self.released else ''}>"


def frames_of(frames: NDArray[np.void]) -> Any:
    return ffi.from_buffer("struct hwgw_frame[]", frames)


def outgoing(frames: Any, lengths: Any) -> tuple[Any, int, Any]:
    """A C frame array of what is to be sent, how many, and what must stay alive."""
    if isinstance(frames, Batch):
        if lengths is not None:
            raise UsageError("send: lengths go with a 2-D array; a batch knows its own")
        shown, memory = frames._held()
        if len(shown) and int(shown["flow"].min()) != NO_FLOW:
            raise UsageError("send: a batch of the udp backend holds payloads, not whole frames")
        return frames_of(shown), len(shown), (frames, memory)
    if isinstance(frames, np.ndarray):
        if frames.ndim != 2 or frames.dtype != np.uint8 or (frames.size and frames.strides[1] != 1):
            raise UsageError("send: an array of frames must be uint8, 2-D, its rows contiguous")
        cnt, width = frames.shape
        array = np.zeros(cnt, FRAME)
        array["data"] = frames.__array_interface__["data"][0] + np.arange(cnt) * frames.strides[0]
        array["len"] = width
        if lengths is not None:
            sizes = np.asarray(lengths)
            fits = sizes.shape == (cnt,) and sizes.dtype.kind in "iu"
            if not fits or (cnt and not 0 <= sizes.min() <= sizes.max() <= width):
                raise UsageError(f"send: lengths must be {cnt} integers from 0 to {width}")
            array["len"] = sizes
        array["flow"] = NO_FLOW
        return frames_of(array), cnt, (frames, array)
    if lengths is not None:
        raise UsageError("send: lengths go with a 2-D array")
    if isinstance(frames, bytes | bytearray | memoryview):
        raise UsageError("send: frames must be several bytes-like objects; for one give [frame]")
    buffers = []
    for index, frame in enumerate(frames):
        try:
            buffers.append(ffi.from_buffer("uint8_t[]", frame))
        except (TypeError, BufferError) as error:
            raise UsageError(f"send: frame {index} is no contiguous bytes-like object: {error}") from None
    array = np.zeros(len(buffers), FRAME)
    array["data"] = [int(ffi.cast("uintptr_t", buffer)) for buffer in buffers]
    array["len"] = [len(buffer) for buffer in buffers]
    array["flow"] = NO_FLOW
    return frames_of(array), len(buffers), (buffers, array)
