// Builds the widget and the try-it page: `node build.mjs [FOLDER]`, dist/ without one.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const folder = process.argv[2] ?? "dist";
const common = {
  bundle: true,
  minify: true,
  target: ["chrome111", "firefox114", "safari16.4"],
  logLevel: "warning",
};
const widget = "src/offhook-call.ts";
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await Promise.all([
  build({ ...common, entryPoints: [widget], outfile: join(folder, "offhook-call.mjs"), format: "esm" }),
  build({
    ...common,
    entryPoints: [widget],
    outfile: join(folder, "offhook-call.js"),
    format: "iife",
    define: { "import.meta.url": "undefined" },
  }),
  build({ ...common, entryPoints: ["src/try.ts"], outfile: join(folder, "try.js"), format: "esm" }),
  copyFile("src/try.html", join(folder, "try.html")),
  copyFile("src/try.css", join(folder, "try.css")),
]);
for (const name of await readdir(folder)) {
  const path = join(folder, name);
  await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
}
