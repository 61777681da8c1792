// Puts viewer.js (bundled with three.js), viewer.css and viewer.html into one page:
//   node build.mjs [WHERE]     default: ../actionpose/assets/viewer.html

import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const target = process.argv[2] ?? "../actionpose/assets/viewer.html";
const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [new URL(entry, import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none", // three.js's license is put in whole, below
    write: false,
  });
  return outputFiles[0].text.trim();
}

const license = `/* This page contains three.js:\n\n${read("node_modules/three/LICENSE").trim()}\n*/\n`;
const parts = {
  "/*STYLE*/": await bundle("src/viewer.css"),
  "/*SCRIPT*/": license + (await bundle("src/viewer.js")),
};
let page = read("src/viewer.html");
for (const [slot, text] of Object.entries(parts)) page = page.replace(slot, () => text);
writeFileSync(target, page);
console.log(`${target}: ${Math.round(page.length / 1000)} kB`);
