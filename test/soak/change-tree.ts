/**
 * Change tree: what people and programs do to a folder, drawn from a generator. The same tree and generator give the
 * same change: names, contents, modes; times are the clock's.
 *
 * Every write is whole when this returns. The tree stays of a size: above `FILES_MANY` as much goes as comes.
 */
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { between, oneIn, pick } from '../../sim/draw.js';
import type { Chance } from '../../src/core/chance.js';
import { seededBytes } from '../helpers/seeded-bytes.js';

/** Fewer, and there is little to change. */
const FILES_FEW = 30;
/** With some large ones among them about 150 MB, so that a round ends within two minutes. */
const FILES_MANY = 300;
const FOLDERS = 8;
const SUBFOLDERS = 4;
const SYMLINKS_MAX = 20;
const STEPS_MAX = 60;
const LARGE_TIMES = 50;
/** On both sides of 8 MiB, where a file becomes a parcel of its own. */
const LARGE_BYTES = [7_000_000, 21_000_000] as const;
const MIDDLE_TIMES = 5;
const MIDDLE_BYTES_MAX = 900_000;
const SMALL_BYTES_MAX = 20_000;
/** Its owner may always write: who is not root has to change it again. */
const MODES = [0o600, 0o644, 0o755, 0o640] as const;

interface Step {
  readonly root: string;
  /** The tree's regular files. */
  readonly files: string[];
  readonly chance: Chance;
  /** A path that is not there yet, its folder is. */
  readonly fresh: () => string;
}

/** What needs a file to change takes the second argument. */
const STEPS = {
  add: ({ chance, fresh, files }: Step) => {
    const path = fresh();
    writeFileSync(path, content(chance));
    files.push(path);
  },
  change: ({ chance }: Step, file: string) => writeFileSync(file, content(chance)),
  /** One byte in place: neither the size nor anything else of it shows. */
  touch: (_: Step, file: string) => {
    const bytes = readFileSync(file);
    const [first] = bytes;
    if (first === undefined) return;
    bytes[0] = first ^ 1;
    writeFileSync(file, bytes, { flag: 'r+' });
  },
  append: ({ chance }: Step, file: string) => appendFileSync(file, seededBytes(100, chance.uint32())),
  remove: ({ root, files }: Step, file: string) => {
    rmSync(file);
    files.splice(files.indexOf(file), 1);
    removeEmpty(root, dirname(file));
  },
  rename: ({ root, files, fresh }: Step, file: string) => {
    const path = fresh();
    renameSync(file, path);
    files[files.indexOf(file)] = path;
    removeEmpty(root, dirname(file));
  },
  link: ({ files, fresh }: Step, file: string) => {
    const path = fresh();
    linkSync(file, path);
    files.push(path);
  },
  symlink: ({ root, chance }: Step, file: string) => {
    const path = join(root, `link${chance.below(SYMLINKS_MAX)}`);
    rmSync(path, { force: true });
    symlinkSync(file, path);
  },
  copy: ({ files, fresh }: Step, file: string) => {
    const path = fresh();
    copyFileSync(file, path);
    files.push(path);
  },
  mode: ({ chance }: Step, file: string) => chmodSync(file, pick(chance, MODES)),
  /** All that is in it gets another path. */
  moveFolder: ({ root, files, fresh }: Step, file: string) => {
    const folder = dirname(file);
    if (folder === root) return;
    const path = fresh();
    if (dirname(path).startsWith(folder)) return;
    renameSync(folder, path);
    for (const [n, known] of files.entries())
      if (known.startsWith(`${folder}/`)) files[n] = path + known.slice(folder.length);
  },
} as const;

type StepName = keyof typeof STEPS;
const GROWING: readonly StepName[] = ['add', 'add', 'add', 'copy', 'link'];
const OTHERS: readonly StepName[] = ['change', 'touch', 'append', 'rename', 'symlink', 'mode'];
const SHRINKING: readonly StepName[] = ['remove', 'remove'];
const MOVE_FOLDER_TIMES = 60;

/** @returns how many steps it made */
export function changeTree(root: string, chance: Chance): number {
  const files = filesIn(root);
  const fresh = (): string => {
    const folder = join(root, `f${chance.below(FOLDERS)}`, oneIn(chance, 3) ? `g${chance.below(SUBFOLDERS)}` : '');
    mkdirSync(folder, { recursive: true });
    for (;;) {
      const path = join(folder, `x${chance.below(1_000_000)}`);
      if (!existsSync(path)) return path;
    }
  };
  const steps = between(chance, 1, STEPS_MAX);
  for (let n = 0; n < steps; n += 1)
    STEPS[nextStep(chance, files.length)]({ root, files, chance, fresh }, pickFile(chance, files));
  return steps;
}

function nextStep(chance: Chance, files: number): StepName {
  if (files < FILES_FEW) return 'add';
  if (oneIn(chance, MOVE_FOLDER_TIMES)) return 'moveFolder';
  const size = files > FILES_MANY ? [...SHRINKING, ...SHRINKING, ...GROWING] : [...GROWING, ...SHRINKING];
  return pick(chance, [...size, ...OTHERS]);
}

const pickFile = (chance: Chance, files: readonly string[]): string => (files.length === 0 ? '' : pick(chance, files));

function content(chance: Chance): Buffer {
  const seed = chance.uint32();
  if (oneIn(chance, LARGE_TIMES)) return seededBytes(between(chance, ...LARGE_BYTES), seed);
  return seededBytes(chance.below(oneIn(chance, MIDDLE_TIMES) ? MIDDLE_BYTES_MAX : SMALL_BYTES_MAX), seed);
}

/** Folders that are left empty would be more and more. */
function removeEmpty(root: string, folder: string): void {
  if (folder === root || readdirSync(folder).length > 0) return;
  rmdirSync(folder);
  removeEmpty(root, dirname(folder));
}

/** Sorted: a folder's own order is not the same everywhere. */
const filesIn = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();
