// The paths of the project and the commands of its tools. All code here runs before anything is installed.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A path of the repository. */
export const at = (...parts) => join(root, ...parts);

export const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

export const manifest = readJson(at('package.json'));

/** The command line of an installed tool, without the shell shims that differ between systems. */
export function tool(packageName, binary = packageName) {
  const folder = at('node_modules', packageName);
  const { bin } = readJson(join(folder, 'package.json'));
  return [process.execPath, join(folder, typeof bin === 'string' ? bin : bin[binary])];
}

/** The command line of the npm that started this script, or of the one on the path. */
export function npm() {
  const cli = process.env.npm_execpath;
  return cli?.endsWith('.js') ? [process.execPath, cli] : ['npm'];
}

/**
 * Runs a command line to its end.
 *
 * With `onLine`, output is collected and each line reported; otherwise it goes straight to the terminal.
 * A command that is still running after `timeout` ms is ended. Resolves to the exit code (127 when the program does not
 * exist) and the collected output.
 */
export function run([program, ...args], { cwd = root, env, onLine, timeout } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      timeout,
      stdio: onLine ? ['ignore', 'pipe', 'pipe'] : 'inherit',
      // npm is a script there, and only a shell can start it.
      shell: process.platform === 'win32' && program === 'npm',
    });
    let output = '';
    const collect = (chunk) => {
      output += chunk;
      for (const line of chunk.split('\n')) if (line.trim()) onLine(line.trim());
    };
    child.stdout?.setEncoding('utf8').on('data', collect);
    child.stderr?.setEncoding('utf8').on('data', collect);
    child.on('error', (error) => resolve({ code: 127, output: `${program}: ${error.message}` }));
    child.on('close', (code, signal) =>
      resolve({ code: code ?? 1, output: signal ? `${output}\nended by ${signal}` : output }),
    );
  });
}

/** As `run`, but throws with the output if the command fails. */
export async function mustRun(command, options = {}) {
  const { code, output } = await run(command, { onLine: () => {}, ...options });
  if (code !== 0) throw new Error(`${command.join(' ')}\nended with code ${code}\n${output}`);
  return output;
}

/** `1.2 s` of the time since `start`, a value of `performance.now()`. */
export const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/** Runs a script's main function; on failure prints the message, without a stack, and exits with 1. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
