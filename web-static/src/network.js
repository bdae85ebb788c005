// The exported colorizer in ONNX Runtime: small lightness in, small chroma out.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";

/**
 * @param {Uint8Array} runtime WebAssembly
 * @param {Uint8Array} model an ONNX file of `jaxcolor export`
 * @returns {Promise<(light: Float32Array, shape: number[]) => Promise<{shape: number[], a: Float32Array,
 *   b: Float32Array}>>}
 */
export async function loaded(runtime, model) {
  // More threads need memory that is shared, which a browser gives to few pages, and to no file.
  Object.assign(env.wasm, { wasmBinary: runtime.buffer, numThreads: 1 });
  const session = await InferenceSession.create(model, { executionProviders: ["wasm"] });
  return async (light, shape) => {
    const seen = new Tensor("float32", light, [1, ...shape]);
    const { ab } = await session.run({ lightness: seen });
    const size = ab.dims[2] * ab.dims[3];
    const plane = (i) => ab.data.slice(i * size, (i + 1) * size);
    return { shape: ab.dims.slice(2), a: plane(0), b: plane(1) };
  };
}
