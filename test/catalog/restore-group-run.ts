/**
 * A program for restore-target.test.ts: a restore by somebody who is not root, and in two groups. Started as root with a target that
 * is theirs; prints what came of it as one line of JSON.
 */
import { lstatSync } from 'node:fs';

const [target = '', account = ''] = process.argv.slice(2);
const [uid, own, other, foreign] = [Number(account), Number(account), 100, 101];
process.setgroups?.([own, other]);
process.setgid?.(own);
process.setuid?.(uid);
// Only now: who the caller is, is asked once.
const { Blobs, entryOf, fileOf, placed, restore } = await import('./restore-fixture.js');
const list = placed([
  entryOf('', { kind: 'directory', uid, gid: own }),
  fileOf('foreign', 'x', { uid, gid: foreign }),
  fileOf('late', 'late', { uid, gid: own }),
  entryOf('link', { kind: 'symlink', target: Buffer.from('shared'), uid, gid: other }),
  fileOf('shared', 'x', { uid, gid: other, mode: 0o2660 }),
  entryOf('team', { kind: 'directory', uid, gid: other, mode: 0o2770 }),
  fileOf('theirs', 'x', { uid: uid - 1, gid: other }),
]);
const told = ({ problems }: Awaited<ReturnType<typeof restore>>): string[][] =>
  problems.map(problem => [problem.path.toString(), problem.kind === 'not-set' ? problem.what : problem.kind]);
const blobs = new Blobs().add('x');
const rehearsed = await restore({ target, list, blobs, dryRun: true });
const begun = await restore({ target, list, blobs });
const restored = await restore({ target, list, blobs: new Blobs().add('late'), verify: true });
const groups = ['foreign', 'link', 'shared', 'team', 'theirs'].map(name => lstatSync(`${target}/${name}`).gid);
const modes = ['shared', 'team'].map(name => lstatSync(`${target}/${name}`).mode & 0o7777);
const { report } = restored;
const runs = { rehearsed: told(rehearsed), begun: told(begun), told: told(restored) };

const overwrite = { target, list, blobs: new Blobs().add('x').add('late'), existing: 'overwrite' } as const;
const stranger = { uid: uid - 1, gid: own };
const linked = { ...stranger, link: '0'.repeat(16) };
const strangers = {
  target: `${target}/strangers`,
  list: placed([
    entryOf('', { kind: 'directory', ...stranger }),
    fileOf('a', 'x', linked),
    fileOf('b', 'x', linked),
    entryOf('folder', { kind: 'directory', ...stranger }),
    entryOf('folder/link', { kind: 'symlink', target: Buffer.from('shared'), ...stranger }),
  ]),
  blobs,
};
// Of the two names either may be the one that is told of.
const places = (one: Awaited<ReturnType<typeof restore>>): string[] =>
  told(one).map(([path, what]) => `${path === 'b' ? 'a' : path}: ${what}`);
const pairs: unknown[] = [];
for (const request of [overwrite, strangers, { ...strangers, existing: 'overwrite' as const }]) {
  const before = await restore({ ...request, dryRun: true });
  pairs.push([before, await restore(request)].map(one => [one.report.notSet, ...places(one).sort()]));
}
process.stdout.write(`${JSON.stringify({ report, ...runs, groups, modes, pairs })}\n`);
