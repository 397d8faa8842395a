/** The shell of deploy/HOOKS.md: what people will copy from there. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sqlite from 'node-sqlite3-wasm';
import { makeSqlite, scripts, scriptWith, statements } from '../helpers/hook-page.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

test('a shell can read every recipe', t => {
  t.true(scripts.length >= 3 && statements.length >= 4);
  for (const text of [...scripts, ...statements]) {
    const { status, stderr } = spawnSync('sh', ['-n'], { input: text, encoding: 'utf8' });
    t.deepEqual([status, stderr], [0, ''], text);
  }
});

test('a database that is gone, or empty, fails its hook, and the last dump of it stays', t => {
  const script = scriptWith('sqlite3 app.db');
  const recipes = [script, ...statements.filter(text => text.includes('sqlite3'))];
  t.is(recipes.length, 2);
  for (const recipe of recipes) {
    const [programs, source] = [temporaryFolder(t), temporaryFolder(t)];
    makeSqlite(programs);
    const env = { PATH: `${programs}:${process.env.PATH}`, CLUSTER_PATH: source };
    const run = () => spawnSync('sh', ['-c', recipe], { env, encoding: 'utf8' });
    const [app, dump] = [join(source, 'app.db'), join(source, 'dump.db')];
    const db = new sqlite.Database(app);
    db.exec('CREATE TABLE account (id INTEGER); INSERT INTO account VALUES (7)');
    db.close();
    t.is(run().status, 0, run().stderr);
    const good = readFileSync(dump);

    rmSync(app);
    const gone = run();
    t.not(gone.status, 0);
    if (recipe === script) t.is(gone.stderr, 'app.db is gone, or empty\n');
    t.deepEqual(readdirSync(source), ['dump.db'], 'nor is a new one made');
    writeFileSync(app, '');
    t.not(run().status, 0);
    t.deepEqual(readFileSync(dump), good);
    const kept = new sqlite.Database(dump);
    t.deepEqual(kept.all('SELECT id FROM account'), [{ id: 7 }]);
    kept.close();
  }
});

/** Runs the hook that stops a container, with a `docker` that writes down what it is asked for. */
function stopsAndStarts(t: ExecutionContext, copying: string, starting = 'true') {
  const folder = temporaryFolder(t);
  const [hook, source, asked] = [join(folder, 'hook'), join(folder, 'source'), join(folder, 'asked')];
  mkdirSync(source);
  const docker = join(folder, 'docker');
  writeFileSync(docker, `#!/bin/sh\necho "$1 $2" >> ${asked}\ncase $1 in cp) ${copying};; start) ${starting};; esac\n`);
  writeFileSync(hook, scriptWith('docker stop'));
  for (const program of [docker, hook]) chmodSync(program, 0o755);
  const child = spawn(hook, [], {
    detached: true,
    stdio: 'ignore',
    env: { PATH: `${folder}:${process.env.PATH}`, CLUSTER_PATH: source },
  });
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve));
  return {
    child,
    ended,
    source,
    asked: () => (existsSync(asked) ? readFileSync(asked, 'utf8').trim().split('\n') : []),
  };
}

const ASKED = ['stop app', 'cp app:/data', 'start app'];

test('a container that a hook stops is started again, and its copy takes the place of the last', async t => {
  const run = stopsAndStarts(t, 'mkdir "$3" && echo copied > "$3/file"');
  t.is(await run.ended, 0);
  t.deepEqual(run.asked(), ASKED);
  t.is(readFileSync(join(run.source, 'data/file'), 'utf8'), 'copied\n');
});

test('… also when it cannot be copied, which fails the hook, and when the time of the hook is up', async t => {
  const failing = stopsAndStarts(t, 'exit 1');
  t.is(await failing.ended, 1);
  t.deepEqual(failing.asked(), ASKED);

  const down = stopsAndStarts(t, 'mkdir "$3"', 'exit 1');
  t.is(await down.ended, 1, 'somebody must hear that it did not start');

  const late = stopsAndStarts(t, 'sleep 60');
  await until('it is copied', () => late.asked().length === 2);
  // As the service ends a hook: with all that it has started.
  process.kill(-(late.child.pid as number), 'SIGTERM');
  t.is(await late.ended, 1);
  t.deepEqual(late.asked(), ASKED);
});
