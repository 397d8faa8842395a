/**
 * Readme: what stands in it is what there is. The exit codes, the commands and the policy's keys are looked up in it, and
 * its policy is read by the program.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { EXIT } from '../src/cli/exit-codes.js';
import { parsePolicy } from '../src/membership/policy.js';
import { policyJsonSchema } from '../src/membership/policy-schema.js';

/** Where npm runs the tests. */
const ROOT = process.cwd();
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const MAIN = join(ROOT, 'build/src/cli/main.js');

/** The names in the list of commands that a help text ends with, aliases too. */
function commandsIn(help: string): string[] {
  const [, list = ''] = help.split('\nCommands:\n');
  return [...list.matchAll(/^ {2}([a-z|-]+)/gm)].flatMap(([, names = '']) => names.split('|'));
}

function help(...command: readonly string[]): string {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, ...command, '--help'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cluster ${command.join(' ')} --help ended with ${status}`);
  return stdout;
}

function table(heading: string): string {
  const [, after = ''] = README.split(`| ${heading} |`);
  return after.split('\n\n')[0] ?? '';
}

test('the README lists every exit code, and no other', t => {
  const listed = [...table('code | means').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  t.deepEqual(listed, Object.values(EXIT));
});

test('the README lists every command, and no other', t => {
  const names = commandsIn(help()).flatMap(name =>
    name === 'config' ? commandsIn(help(name)).map(below => `${name} ${below}`) : [name],
  );
  const wanted = names.filter(name => name !== 'config help');
  t.true(wanted.length > 10, `${wanted}`);
  const listed = [...table('command | does').matchAll(/`cluster ([a-z -]+)`/g)].map(([, name]) => name);
  t.deepEqual(listed.sort(), wanted.sort());
});

test('the README says how to begin, in two commands', t => {
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
    t.true(README.includes(['```sh', command, '```'].join('\n')), command);
  }
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly scripts: object };
  for (const [, script = ''] of README.matchAll(/npm run ([a-z:]+)/g)) t.true(script in scripts, script);
});

test('every option in the README is one', t => {
  const commands = [
    [],
    ...commandsIn(help()).map(name => [name]),
    ...commandsIn(help('config')).map(name => ['config', name]),
  ];
  const known = new Set(
    commands
      .filter(command => command.at(-1) !== 'help')
      .flatMap(command => help(...command).match(/--[a-z-]+/g) ?? []),
  );
  const said = [...README.matchAll(/\bcluster [^\n`]*/g)].flatMap(([line]) => line.match(/(?<= )--[a-z-]+/g) ?? []);
  t.true(said.length > 5);
  t.deepEqual(
    said.filter(option => !known.has(option)),
    [],
  );
});

test('the policy in the README is one, and shows every key', t => {
  const [, text = ''] = README.split('```yaml\n');
  const yaml = text.split('```')[0] ?? '';
  t.notThrows(() => parsePolicy(yaml));
  const unshown = [...keysOf(policyJsonSchema())].filter(key => !yaml.includes(`${key}:`));
  t.deepEqual(unshown, []);
});

/** The names of all properties in a JSON Schema. */
function keysOf(schema: unknown): Set<string> {
  if (typeof schema !== 'object' || schema === null) return new Set();
  const keys = new Set<string>();
  for (const [name, below] of Object.entries(schema)) {
    if (name === 'properties') for (const key of Object.keys(below as object)) keys.add(key);
    for (const key of keysOf(below)) keys.add(key);
  }
  return keys;
}
