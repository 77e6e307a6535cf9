import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './scripts.ts';

/** A line of a page, and what it is. */
export interface Line {
  text: string;
  number: number;
  isCode: boolean;
}

/** The Markdown files below `folder`, as paths from the repository's root. */
const below = (folder: string): string[] =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.split(path.sep).join('/')}`)
    .filter((name) => name.endsWith('.md') && !name.includes('/node_modules/'))
    .sort();

/** What users of the package read. */
export const GUIDE = ['README.md', 'SECURITY.md', ...below('docs')];

/** Every page of the repository. */
export const PAGES = [...GUIDE, 'CHANGELOG.md', 'CONTRIBUTING.md', 'bench/README.md', ...below('examples')];

export const read = (page: string): string => readFileSync(path.join(ROOT, page), 'utf8');

/** The lines of a page. Fences count as code. */
export function lines(page: string): Line[] {
  let isFenced = false;
  return read(page)
    .replace(/\n$/, '')
    .split('\n')
    .map((text, index) => {
      const isFence = text.trimStart().startsWith('```');
      if (isFence) isFenced = !isFenced;
      return { text, number: index + 1, isCode: isFence || isFenced };
    });
}
