/**
 * Regressions: runs that once showed something, kept with all their options, so that they show it whatever seeds mean
 * later. Some kill a mutant, and must pass with the complete build; the others found a bug.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunOptions } from './run-options.js';

export interface Regression {
  /** What it shows. */
  readonly title: string;
  /** The mutant that it kills, and the invariant that catches it; neither for a bug that is fixed. */
  readonly mutant?: string;
  readonly by?: string;
  readonly options: RunOptions;
}

/** Beside the sources; npm runs everything from the top of the project. */
const FOLDER = join('sim', 'regressions');

export function readRegressions(): readonly (Regression & { readonly file: string })[] {
  return readdirSync(FOLDER)
    .filter(name => name.endsWith('.json'))
    .sort()
    .map(file => ({ ...(JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Regression), file }));
}

/**
 * One of them, by its name here or by any path. A file may also have nothing but options, as failures print them.
 *
 * @returns undefined where no file is called so, or it has no run in it
 */
export function findRegression(name: string): Regression | undefined {
  const file = [name, join(FOLDER, name), join(FOLDER, `${name}.json`)].find(path => existsSync(path));
  if (file === undefined) return undefined;
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<Regression> & Partial<RunOptions>;
    if (typeof found.options?.seed === 'number') return found as Regression;
    return typeof found.seed === 'number' ? { title: file, options: found as RunOptions } : undefined;
  } catch {
    // A folder, or no JSON: no run either.
    return undefined;
  }
}

export function writeRegression(name: string, regression: Regression): void {
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(regression, undefined, 2)}\n`);
}
