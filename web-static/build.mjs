// Bundles the page and its worker: node build.mjs FOLDER
//
// FOLDER/static/page.js is a classic script, as a page that is opened from a folder may load no modules;
// FOLDER/parts/worker.js hands out the worker's source, as such a page may start no worker from a
// file.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const [folder] = process.argv.slice(2);
const shared = {
  bundle: true,
  format: "iife",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
  write: false,
};

// The page's own api.js asks the server; here another one is put in its place.
const withoutServer = {
  name: "without a server",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/api\.js$/ }, () => ({ path: here("src/api.js") }));
  },
};

const bundled = async (entry, options) => {
  const { outputFiles } = await build({ ...shared, ...options, entryPoints: [here(entry)] });
  return outputFiles[0].text;
};

await mkdir(`${folder}/parts`, { recursive: true });
const part = (name, held) =>
  writeFile(`${folder}/parts/${name}.js`, `jaxcolorPart(${JSON.stringify(name)}, ${JSON.stringify(held)});\n`);

const page = await bundled("../jaxcolor/web/page/static/page.js", { plugins: [withoutServer] });
await writeFile(`${folder}/static/page.js`, page);
await part("worker", await bundled("src/worker.js", { define: { "import.meta.url": "self.location.href" } }));

const runtime = await readFile(here("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"));
await part("runtime", gzipSync(runtime, { level: 9 }).toString("base64"));
