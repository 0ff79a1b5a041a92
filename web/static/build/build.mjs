// Makes ../vendor from the packages that package-lock.json fixes:
//
//   npm ci && npm run build     writes ../vendor
//   npm ci && npm run check     says whether ../vendor is what the lock gives
//
// The Go build never runs this: what it makes is committed.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFile, writeFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const vendor = join(here, '..', 'vendor');
const check = process.argv.includes('--check');

// The browsers of phones of 2020: BigInt, modules, dynamic import.
const common = { bundle: true, minify: true, format: 'esm', target: 'es2020', charset: 'ascii', legalComments: 'none', write: false, absWorkingDir: here };

async function bundle(entry, packages) {
  const names = [];
  for (const p of packages) {
    const { name, version, license } = JSON.parse(await readFile(join(here, 'node_modules', p, 'package.json'), 'utf8'));
    names.push(`${name} ${version} (${license})`);
  }
  const banner = { js: `/* ${names.join(', ')}; licences beside this file. Made by web/static/build. */` };
  const { outputFiles } = await build({ ...common, entryPoints: [entry], banner });
  return Buffer.from(outputFiles[0].contents);
}

const files = new Map([
  ['noble.js', await bundle('noble.entry.js', ['@noble/ciphers', '@noble/curves', '@noble/hashes'])],
  ['jsqr.js', await bundle('jsqr.entry.js', ['jsqr'])],
  ['LICENSE.noble-ciphers', await readFile(join(here, 'node_modules/@noble/ciphers/LICENSE'))],
  ['LICENSE.noble-curves', await readFile(join(here, 'node_modules/@noble/curves/LICENSE'))],
  ['LICENSE.noble-hashes', await readFile(join(here, 'node_modules/@noble/hashes/LICENSE'))],
  ['LICENSE.jsqr', await readFile(join(here, 'node_modules/jsqr/LICENSE'))],
]);

await mkdir(vendor, { recursive: true });
let differ = 0;
for (const [name, want] of files) {
  const path = join(vendor, name);
  if (!check) {
    await writeFile(path, want);
    console.log(createHash('sha256').update(want).digest('hex').slice(0, 16), want.length, name);
    continue;
  }
  const have = await readFile(path).catch(() => Buffer.alloc(0));
  if (!have.equals(want)) {
    console.error(`vendor/${name} is not what this script makes: npm run build, then commit`);
    differ++;
  }
}
process.exitCode = differ ? 1 : 0;
