/**
 * `cluster config edit`: the policy in an editor, then as by `config apply`. What somebody has written is never lost: if it
 * cannot be put in force, it stays where it is, and the message says where.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import type { ConfigReport } from '../daemon/service.js';
import { readIfThere } from '../platform/durable.js';
import type { Context } from './context.js';

/** What POSIX has on every system. */
const EDITOR_DEFAULT = 'vi';

/** @returns what is in force then; undefined when the text was left as it was */
export async function editConfig(
  context: Context,
  { yes }: { readonly yes: boolean },
): Promise<ConfigReport | undefined> {
  const service = context.service();
  const { text: madeFrom } = await service.configDraft(context.signal);
  // Editors leave files of their own beside the one that they edit.
  const folder = join(tmpdir(), `cluster-policy-${randomBytes(8).toString('hex')}`);
  const file = join(folder, 'policy.yaml');
  await mkdir(folder, { mode: 0o700 });
  try {
    await writeFile(file, madeFrom, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // What a full disk leaves there is no policy, and nobody's work.
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  try {
    await context.handOver(() => edited(file));
    const text = readIfThere(file)?.toString();
    if (text === undefined) throw editorFailed('the editor left no file');
    const report =
      text === madeFrom
        ? undefined
        : await service.configApply({ text, madeFrom, fileName: file, yes }, context.signal);
    await rm(folder, { recursive: true });
    return report;
  } catch (error) {
    await keep(context, { folder, file, madeFrom, error });
    throw error;
  }
}

/** Through the shell, because the variables may have options (`code --wait`). */
async function edited(file: string): Promise<void> {
  // An empty variable is as good as none.
  const editor = process.env.VISUAL || process.env.EDITOR || EDITOR_DEFAULT;
  const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  const code = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? signal));
  });
  if (code === 0) return;
  throw editorFailed(`${JSON.stringify(editor)} ended with ${code}`);
}

function editorFailed(how: string): ClusterError {
  const which = 'VISUAL or EDITOR in the environment says which editor is started';
  return new ClusterError('EDITOR_FAILED', `${how}, so nothing was changed; ${which}`, { blame: 'operator' });
}

/** Removes what nobody has changed, else says where it is. */
async function keep(
  context: Context,
  {
    folder,
    file,
    madeFrom,
    error,
  }: { readonly folder: string; readonly file: string; readonly madeFrom: string; readonly error: unknown },
): Promise<void> {
  if (hasWork(file, madeFrom)) context.note(`what you wrote is kept in ${file}: ${howToGoOn(file, error)}`);
  // Whatever went wrong before is what is told.
  else await rm(folder, { recursive: true, force: true }).catch(() => undefined);
}

/** Whether anything may be lost with the file: what cannot be read is taken for somebody's work. */
function hasWork(file: string, madeFrom: string): boolean {
  try {
    const text = readIfThere(file);
    return text !== undefined && text.toString() !== madeFrom;
  } catch {
    return true;
  }
}

/** `apply` does not look at what a text was made from: it would undo, without a word, what somebody else has changed. */
const howToGoOn = (file: string, error: unknown): string =>
  error instanceof ClusterError && error.code === 'POLICY_CHANGED'
    ? "write it into 'cluster config edit' anew, as applying that file would undo what was changed meanwhile"
    : `'cluster config apply ${file}' puts it in force`;
