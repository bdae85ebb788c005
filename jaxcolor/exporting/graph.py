"""An ONNX graph, written operation by operation; maps are (batch, channels, height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18  # ONNX 1.13, of 2022
_IR = 8  # that version's file format: readers of later ones take it
_FLOATS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16}
_KINDS = _FLOATS | {
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
}


class Graph:
    """Nodes in their order, and the arrays that they use. Values are known by their names.

    Attributes:
      dtype: what the network's own arrays are stored and computed in.
    """

    def __init__(self, dtype: Any = np.float32):
        self.dtype = np.dtype(dtype)
        self._nodes: list[onnx.NodeProto] = []
        # Names by what identifies an array: type, shape, bytes.
        self._arrays: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """An array that stands in the file; the same one stands there once."""
        array = np.ascontiguousarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        return self._arrays.setdefault(key, f"array{len(self._arrays)}")

    def node(self, operation: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds an operation; gives the name of what comes out, or names."""
        number = len(self._nodes)
        names = [
            f"{operation.lower()}{number}" + ("" if not i else f"_{i}") for i in range(outputs)
        ]
        self._nodes.append(helper.make_node(operation, inputs, names, f"n{number}", **attributes))
        return names[0] if outputs == 1 else names

    def with_number(self, operation: str, x: str, number: float, dtype: Any = np.float32) -> str:
        """An operation with one number behind: x + number and the like."""
        return str(self.node(operation, x, self.constant(number, dtype)))

    def cast(self, x: str, dtype: Any) -> str:
        """The same numbers in another type."""
        return str(self.node("Cast", x, to=_KINDS[np.dtype(dtype)]))

    def convolution(
        self, x: str, kernel: Any, bias: Any = None, *, stride: int = 1, groups: int = 1
    ) -> str:
        """A 'same' convolution as XLA pads it, of maps whose sides the stride divides.

        Args:
          x: the maps.
          kernel: (k, k, inputs / groups, filters), as Flax lays it out.
          bias: (filters,).
          stride: of both axes.
          groups: as many as inputs for a depthwise one.
        """
        kernel = np.asarray(kernel)
        zeros = max(len(kernel) - stride, 0)
        pads = [zeros // 2] * 2 + [zeros - zeros // 2] * 2
        inputs = [x, self.constant(kernel.transpose(3, 2, 0, 1), self.dtype)]
        if bias is not None:
            inputs.append(self.constant(np.ravel(bias), self.dtype))
        return str(
            self.node(
                "Conv",
                *inputs,
                kernel_shape=kernel.shape[:2],
                strides=[stride, stride],
                pads=pads,
                group=groups,
            )
        )

    def doubled(self, x: str, mode: str) -> str:
        """Maps at twice their height and width; "nearest" or "linear"."""
        scales = self.constant([1, 1, 2, 2])
        where = "asymmetric" if mode == "nearest" else "half_pixel"
        attributes: dict[str, Any] = {"mode": mode, "nearest_mode": "floor"}
        return str(
            self.node("Resize", x, "", scales, coordinate_transformation_mode=where, **attributes)
        )

    def dense(self, x: str, kernel: Any, bias: Any = None) -> str:
        """(batch, inputs) times (inputs, outputs)."""
        arrays = [self.constant(kernel, self.dtype)]
        if bias is not None:
            arrays.append(self.constant(np.ravel(bias), self.dtype))
        return str(self.node("Gemm", x, *arrays))

    def model(
        self,
        given: tuple[str, Sequence[int | str]],
        answer: tuple[str, Sequence[int | str]],
        metadata: dict[str, str],
        producer: tuple[str, str],
    ) -> bytes:
        """The file's content, checked.

        Args:
          given: name and shape of the input, float32; axes that are free have names.
          answer: likewise, of the output; the last node's value is renamed to it.
          metadata: what the file says about itself.
          producer: name and version of the program that wrote it.
        """
        self._nodes.append(helper.make_node("Identity", [self._nodes[-1].output[0]], [answer[0]]))
        (taken, gives) = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (given, answer)
        )
        arrays = [
            numpy_helper.from_array(np.frombuffer(data, dtype).reshape(shape), name)
            for (dtype, shape, data), name in self._arrays.items()
        ]
        graph = helper.make_graph(self._nodes, "jaxcolor", [taken], [gives], arrays)
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR,
            producer_name=producer[0],
            producer_version=producer[1],
        )
        helper.set_model_props(made, metadata)
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))
