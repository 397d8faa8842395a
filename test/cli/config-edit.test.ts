/** `cluster config edit`: an editor, then as apply; and what was written is there still whenever it was not put in force. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import type { ConfigApply } from '../../src/daemon/service.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { cluster, recordsOf, serve } from './cli-fixture.js';

const TEXT = 'cluster: home\ndefaults: { copies: 2 }\n';
const EDITED = TEXT.replace('2', '3');

interface Edit {
  readonly env?: Readonly<Record<string, string>>;
  readonly words?: readonly string[];
  /** What the service says of it; default: it is in force. */
  readonly refusal?: ClusterError;
  /** Ctrl-C as soon as the editor has made a file `open` beside the policy; then it finds a file `go` there. */
  readonly isInterrupted?: boolean;
}

/** `config edit` with an editor that is this shell command; `$1` is the file. */
async function edit(t: ExecutionContext, editor: string, { env = {}, words = [], refusal, isInterrupted }: Edit = {}) {
  const folder = temporaryFolder(t);
  const script = join(folder, 'editor');
  writeFileSync(script, `#!/bin/sh\n${editor}\n`, { mode: 0o755 });
  const temporary = temporaryFolder(t);
  const asked: ConfigApply[] = [];
  const stateDir = await serve(t, {
    configDraft: async () => ({ text: TEXT, version: 7, hash: 'h' }),
    configShow: async () => ({ text: TEXT, version: 7, hash: 'h' }),
    configApply: async request => {
      asked.push(request);
      if (refusal !== undefined) throw refusal;
      return { text: request.text, version: 8, hash: 'h', warnings: ['mind this'] };
    },
  });
  const ended = await cluster(['--state', stateDir, 'config', 'edit', ...words], {
    env: { EDITOR: script, TMPDIR: temporary, ...env },
    ...(isInterrupted && { kill: { signal: 'SIGINT', when: opened(temporary) } }),
  });
  const kept = readdirSync(temporary).map(name => join(temporary, name, 'policy.yaml'));
  return { ...ended, asked, kept, script };
}

async function opened(temporary: string): Promise<void> {
  const folder = () => join(temporary, readdirSync(temporary)[0] ?? '');
  await until('the editor is open', () => existsSync(join(folder(), 'open')));
  // After the signal, which is sent when this returns.
  setImmediate(() => writeFileSync(join(folder(), 'go'), ''));
}

const CHANGES = `sed -i 's/2/3/' "$1"`;

test('what was changed in the editor is put in force, and nothing is left behind', async t => {
  const { code, out, err, asked, kept } = await edit(t, CHANGES, { words: ['--yes'] });
  t.deepEqual([code, out, err], [0, 'configuration 8 is in force\n', 'mind this\n']);
  t.like(asked[0], { text: EDITED, madeFrom: TEXT, yes: true });
  t.deepEqual(kept, []);
  t.false((await edit(t, CHANGES)).asked[0]?.yes);
});

test('the copy in the editor is private', async t => {
  const { out } = await edit(t, `stat -c %a "$1" "$(dirname "$1")"`);
  t.regex(out, /^600\n700\n/);
});

test('a text that is left as it was changes nothing', async t => {
  const { code, out, asked, kept } = await edit(t, 'true');
  t.deepEqual([code, out, asked, kept], [0, 'the policy was left as it was\n', [], []]);
  t.like(recordsOf((await edit(t, 'true', { words: ['--json'] })).out), [{ message_type: 'config', version: 7 }]);
});

test('VISUAL goes before EDITOR, and may have options', async t => {
  const { script } = await edit(t, 'true');
  writeFileSync(script, `#!/bin/sh\n[ "$1" = --wait ] && sed -i 's/2/3/' "$2"\n`);
  const { asked, code } = await edit(t, 'exit 1', { env: { VISUAL: `${script} --wait` } });
  t.is(code, 0);
  t.is(asked[0]?.text, EDITED);
});

test('a text that is refused is kept, and its file named, whatever the reason', async t => {
  const refusals = [
    ['POLICY_INVALID', 2, "'cluster config apply FILE' puts it in force"],
    ['NEEDS_YES', 2, "'cluster config apply FILE' puts it in force"],
    [
      'POLICY_CHANGED',
      1,
      "write it into 'cluster config edit' anew, as applying that file would undo what was changed meanwhile",
    ],
  ] as const;
  for (const [reason, exit, how] of refusals) {
    const refusal = new ClusterError(reason, `told: ${reason}`, { blame: 'operator' });
    const { code, err, kept } = await edit(t, CHANGES, { refusal });
    t.is(code, exit);
    const [file = ''] = kept;
    t.is(readFileSync(file, 'utf8'), EDITED);
    t.is(statSync(file).mode & 0o777, 0o600);
    t.deepEqual(err.split('\n'), [
      `what you wrote is kept in ${file}: ${how.replace('FILE', file)}`,
      `cluster: told: ${reason}`,
      '',
    ]);
  }
});

test('a disk that is too full for the copy leaves none behind, and no word of something written', async t => {
  const temporary = temporaryFolder(t);
  const stateDir = await serve(t, { configDraft: async () => ({ text: TEXT.repeat(1000), version: 7, hash: 'h' }) });
  // A file may have 512 bytes, as on a disk that has no room for more.
  const { code, err } = await cluster(['--state', stateDir, 'config', 'edit'], {
    env: { EDITOR: 'true', TMPDIR: temporary },
    by: ['sh', '-c', 'ulimit -f 1 && exec "$@"', 'sh'],
  });
  t.is(code, 1);
  t.regex(err, /EFBIG|too large/);
  t.notRegex(err, /what you wrote/);
  t.deepEqual(readdirSync(temporary), []);
});

test('an editor that fails changes nothing, and what it wrote is kept', async t => {
  const failed = await edit(t, 'exit 3');
  t.is(failed.code, 1);
  t.regex(failed.err, /editor\\?" ended with 3, so nothing was changed; VISUAL or EDITOR/);
  t.deepEqual([failed.asked, failed.kept], [[], []]);
  const wrote = await edit(t, `${CHANGES}; exit 3`);
  t.is(readFileSync(wrote.kept[0] ?? '', 'utf8'), EDITED);
  t.deepEqual(wrote.asked, []);
  const absent = await edit(t, 'true', { env: { EDITOR: '/nonexistent/editor' } });
  t.is(absent.code, 1);
  t.deepEqual(absent.kept, []);
});

test('Ctrl-C is for the editor', async t => {
  const { code, asked } = await edit(
    t,
    `cd "$(dirname "$1")" && touch open && until [ -e go ]; do sleep 0.05; done; ${CHANGES}`,
    { isInterrupted: true },
  );
  t.is(code, 0);
  t.is(asked.length, 1);
});

test('a host without the key opens no editor', async t => {
  const marker = join(temporaryFolder(t), 'opened');
  const stateDir = await serve(t, {
    configDraft: async () => {
      throw new ClusterError('NO_ADMIN_KEY', 'do it on: imac', { blame: 'operator' });
    },
  });
  const { code, err } = await cluster(['--state', stateDir, 'config', 'edit'], { env: { EDITOR: `touch ${marker};` } });
  t.is(code, 12);
  t.regex(err, /do it on: imac/);
  t.false(existsSync(marker));
});

test('an editor that leaves no file has changed nothing, and what cannot be read is not removed', async t => {
  const gone = await edit(t, 'rm "$1"');
  t.is(gone.code, 1);
  t.regex(gone.err, /the editor left no file, so nothing was changed/);
  t.deepEqual([gone.asked, gone.kept], [[], []]);
  const odd = await edit(t, 'rm "$1"; mkdir "$1"; echo mine > "$1/work"');
  t.is(odd.code, 1);
  t.deepEqual(odd.asked, []);
  t.is(odd.kept.length, 1);
  t.true(odd.err.includes(`what you wrote is kept in ${odd.kept[0]}`));
  t.true(existsSync(join(odd.kept[0] ?? '', 'work')));
});
