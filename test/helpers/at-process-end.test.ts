import { spawnSync } from 'node:child_process';
import test from 'ava';

const MODULE = JSON.stringify(new URL('at-process-end.js', import.meta.url));

/** What a program prints that has two things to undo, of which the last, undone first, fails, and then ends in some way. */
function printed(ending: string): string {
  const script = `
    import { atProcessEnd } from ${MODULE};
    const write = text => process.stdout.write(text + ' ');
    atProcessEnd(() => write('first'));
    atProcessEnd(() => write('taken back'))();
    atProcessEnd(() => { write('last'); throw new Error('it cannot be undone'); });
    ${ending}`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  return `${stdout}${/it cannot be undone/.exec(stderr)?.[0]}`;
}

for (const [how, ending] of [
  ['by itself', ''],
  ['by a signal', `process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);`],
  ['by an error', `throw new Error('a bug');`],
] as const) {
  test(`a process that ends ${how} undoes all, the last first, whatever fails of it`, t => {
    t.is(printed(ending), 'last first it cannot be undone');
  });
}
