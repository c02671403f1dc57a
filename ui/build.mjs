// Builds src/mapscope/report/static: app.js, app.css, licenses.txt.  `node build.mjs --check` compares instead.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "src", "mapscope", "report", "static");
const LIMIT = 300_000; // bytes of app.js and app.css together

/** Writes the three files into `folder` and answers their names. */
async function make(folder) {
  const made = await build({
    absWorkingDir: here,
    entryPoints: { app: "src/main.tsx" },
    bundle: true,
    minify: true,
    metafile: true,
    format: "iife",
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    outdir: folder,
    logLevel: "warning",
    tsconfigRaw: {},
  });
  writeFileSync(join(folder, "licenses.txt"), licenses(Object.keys(made.metafile.inputs)));
  return ["app.js", "app.css", "licenses.txt"];
}

/** The licences of the packages whose code is in the bundle. */
function licenses(inputs) {
  const names = new Set();
  for (const input of inputs) {
    const found = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) names.add(found[1]);
  }
  const parts = [...names].sort().map((name) => {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    if (!file) throw new Error(`${name} has no licence file`);
    return `${name} ${about.version} (${about.license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `app.js and app.css hold code of these packages.\n\n${parts.join(`\n${"-".repeat(78)}\n\n`)}`;
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
}

if (process.argv.includes("--check")) {
  const folder = mkdtempSync(join(tmpdir(), "mapscope-ui-"));
  try {
    for (const name of await make(folder)) {
      const kept = join(target, name);
      if (!existsSync(kept) || !readFileSync(kept).equals(readFileSync(join(folder, name)))) {
        fail(`${name} in src/mapscope/report/static is not what ui/ gives: run \`make ui\``);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
} else {
  mkdirSync(target, { recursive: true });
  await make(target);
  const size = ["app.js", "app.css"].reduce((sum, name) => sum + readFileSync(join(target, name)).length, 0);
  process.stdout.write(`app.js and app.css: ${size.toLocaleString("en")} bytes of ${LIMIT.toLocaleString("en")}\n`);
  if (size > LIMIT) fail("that is too much");
}
