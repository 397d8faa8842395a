/**
 * Spin: one run of one model, from its text to a word on what was found.
 *
 * `spin` writes a checker in C, `cc` compiles it, the checker goes through every state. Anything short of every state is not
 * `safe`: a limit that was reached, of memory, depth or time, is a finding of its own.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from './runs.js';

/** Above what the largest run takes (2 GB), below what a small machine has for two of them. */
const MEMORY_MIB_MAX = 3000;
/** Steps; the deepest runs go 60,700 and half a million deep. Each step has its place in memory from the start. */
const DEPTH_MAX = 200_000;
const LONG_DEPTH_MAX = 2_000_000;
/** log2 of the hash table's slots: 1 M, so 8 MB; it grows by itself. */
const SLOTS_LOG2 = 20;
/** Weak fairness counts processes in words of so many bits: enough for 4 hosts and the 12 wires between them. */
const FAIRNESS_WORDS = 5;

export interface Finding {
  /** `safe`, the name of the invariant that breaks, or why nothing can be said. */
  readonly found: string;
  readonly states: number;
  readonly ms: number;
}

/** The first of the programs that a run needs which is missing here. */
export function missingProgram(): string | undefined {
  return ['spin', 'cc'].find(program => spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined);
}

/** `folder` need not exist; `modelPath` is absolute. The signal ends it early, as `out of time`. */
export async function check(run: Run, modelPath: string, folder: string, signal: AbortSignal): Promise<Finding> {
  const startMs = performance.now();
  const isLiveness = run.model === 'drop/progress';
  await mkdir(folder);
  const at = { folder, signal };
  const end = (found: string, states = 0): Finding => ({ found, states, ms: performance.now() - startMs });

  const switches = Object.entries(run.set).map(([name, value]) =>
    value === true ? `-D${name}` : `-D${name}=${value}`,
  );
  // Its own preprocessor would be gcc, by that name.
  const made = await output('spin', ['-Pcc -E -xc', '-a', ...switches, modelPath], at);
  if (signal.aborted) return end('out of time');
  if (made.code !== 0) return end(`no model: ${firstLine(made.text)}`);

  const limits = [`-DMEMLIM=${MEMORY_MIB_MAX}`, '-DVECTORSZ=2048'];
  const kind = isLiveness ? [`-DNFAIR=${FAIRNESS_WORDS}`] : ['-DSAFETY'];
  const compiled = await output('cc', [optimisation(run), '-w', ...kind, ...limits, '-o', 'pan', 'pan.c'], at);
  if (signal.aborted) return end('out of time');
  if (compiled.code !== 0) return end(`no checker: ${firstLine(compiled.text)}`);

  const fair = isLiveness ? ['-a', '-f'] : [];
  const { text } = await output(
    join(folder, 'pan'),
    [...fair, `-m${run.isLong ? LONG_DEPTH_MAX : DEPTH_MAX}`, `-w${SLOTS_LOG2}`],
    at,
  );
  const states = Number(/(\S+) states, stored/.exec(text)?.[1] ?? 0);
  return end(signal.aborted ? 'out of time' : verdict(text), states);
}

/** Compiling outlasts most of the checks, and a mutant is caught at once. */
function optimisation({ expected, isLong }: Run): string {
  if (isLong) return '-O2';
  return expected === 'safe' ? '-O1' : '-O0';
}

/** What the checker's report says. */
function verdict(report: string): string {
  const [, broken] = /assertion violated (\w+)/.exec(report) ?? [];
  if (broken !== undefined) return broken;
  if (/acceptance cycle/.test(report)) return 'settles';
  if (/max search depth too small/.test(report)) return 'too deep';
  if (/reached -DMEMLIM bound|out of memory/.test(report)) return 'out of memory';
  if (!/errors: 0\b/.test(report) || /Search not completed/.test(report)) return `no end: ${firstLine(report)}`;
  return 'safe';
}

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';

function output(
  program: string,
  args: readonly string[],
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (part: string) => {
        text += part;
      });
    }
    child.on('error', error => {
      // Ended by the signal: `close` comes next.
      if (!signal.aborted) reject(error);
      else if (child.pid === undefined) resolve({ code: null, text });
    });
    child.on('close', code => resolve({ code, text }));
  });
}
