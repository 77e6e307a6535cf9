// Shared by pack-check.mjs and tools.mjs: tarballs as they would be published, and projects that install them.

import { copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, manifest, mustRun, npm } from './project.mjs';

export const writeJson = (path, value) => writeFileSync(path, JSON.stringify(value, null, 2));

/** Packs a folder into `destination`; resolves to the tarball's path and the paths of its files. */
export async function pack(folder, destination) {
  const output = await mustRun([...npm(), 'pack', '--json', '--loglevel=error', '--pack-destination', destination], {
    cwd: folder,
  });
  // A lifecycle script may have printed something before the list.
  const listed = JSON.parse(output.slice(output.search(/^[[{]/m)));
  const [{ filename, files, name }] = Array.isArray(listed) ? listed : Object.values(listed);
  return { name, tarball: join(destination, filename), paths: files.map((file) => file.path) };
}

/** The platform package of this machine, with the addon in it, in a new folder of `parent`. */
export function platformPackage(parent) {
  const [prefix, suffix] = [`${manifest.napi.binaryName}.`, '.node'];
  const platforms = readdirSync(at('npm'));
  const addon = readdirSync(at()).find(
    (file) => file.startsWith(`${prefix}${process.platform}-${process.arch}`) && file.endsWith(suffix),
  );
  const platform = addon?.slice(prefix.length, -suffix.length);
  if (!platforms.includes(platform))
    throw new Error(`No platform package for ${addon ?? 'this machine: build first'}.`);
  const folder = join(parent, 'platform');
  cpSync(at('npm', platform), folder, { recursive: true });
  copyFileSync(at(addon), join(folder, addon));
  return folder;
}

/** Installs packages into a folder that has a package.json. */
export async function install(folder, packages) {
  await mustRun([...npm(), 'install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline', ...packages], {
    cwd: folder,
  });
}

/** An empty project in `parent`, with these packages installed. */
export async function project(parent, name, type, packages) {
  const folder = join(parent, name);
  mkdirSync(folder);
  writeJson(join(folder, 'package.json'), { name, private: true, type });
  await install(folder, packages);
  return folder;
}
