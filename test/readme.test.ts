/**
 * Readme: what stands in it, and in the pages for operators beside it, is what there is. The exit codes, the commands, their options and
 * the policy's keys are looked up in them, the policy is read by the program, and each link leads somewhere.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';
import { parse, stringify } from 'yaml';
import { EXIT } from '../src/cli/exit-codes.js';
import { DEFAULT_TIMING } from '../src/core/cluster-config.js';
import { parsePolicy } from '../src/membership/parse-policy.js';
import { policyJsonSchema } from '../src/membership/policy-schema.js';

/** Where npm runs the tests. */
const ROOT = process.cwd();
/** The pages for operators, by their names from the root. */
const PAGES = new Map(
  ['README.md', ...markdownIn('deploy')].map(file => [file, readFileSync(join(ROOT, file), 'utf8')] as const),
);
/** All pages, one after the other. */
const ALL = [...PAGES.values()].join('\n\n');
const README = PAGES.get('README.md') ?? '';
const COMMANDS = PAGES.get('deploy/COMMANDS.md') ?? '';
const POLICY = PAGES.get('deploy/POLICY.md')?.split('```yaml\n')[1]?.split('```')[0] ?? '';
const MAIN = join(ROOT, 'build/src/cli/cluster.cjs');

/** Commands that have others below them. */
const GROUPS = ['admin', 'config', 'key'];

/** The names in the list of commands that a help text ends with, aliases too. */
function commandsIn(help: string): string[] {
  const [, list = ''] = help.split('\nCommands:\n');
  return [...list.matchAll(/^ {2}([a-z|-]+)/gm)].flatMap(([, names = '']) => names.split('|'));
}

const helps = new Map<string, string>();

function help(...command: readonly string[]): string {
  const asked = helps.get(command.join(' '));
  if (asked !== undefined) return asked;
  const { status, stdout } = spawnSync(process.execPath, [MAIN, ...command, '--help'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cluster ${command.join(' ')} --help ended with ${status}`);
  helps.set(command.join(' '), stdout);
  return stdout;
}

function table(heading: string): string {
  const [, after = ''] = COMMANDS.split(`| ${heading} |`);
  return after.split('\n\n')[0] ?? '';
}

test('deploy/COMMANDS.md lists every exit code, and no other', t => {
  const listed = [...table('code | means').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  t.deepEqual(listed, Object.values(EXIT));
});

test('deploy/COMMANDS.md lists every command, and no other', t => {
  const names = commandsIn(help()).flatMap(name =>
    GROUPS.includes(name) ? commandsIn(help(name)).map(below => `${name} ${below}`) : [name],
  );
  const wanted = names.filter(name => !GROUPS.some(group => name === `${group} help`));
  t.true(wanted.length > 10, `${wanted}`);
  const listed = [...table('command | does').matchAll(/`cluster ([a-z -]+)`/g)].map(([, name]) => name);
  t.deepEqual(listed.sort(), wanted.sort());
});

test('the README says how to begin, in two commands', t => {
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
    t.true(README.includes(['```sh', command, '```'].join('\n')), command);
  }
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly scripts: object };
  const said = `${ALL}\n${readFileSync(join(ROOT, 'src/DESIGN.md'), 'utf8')}`;
  for (const [, script = ''] of said.matchAll(/npm run ([a-z:]+)/g)) t.true(script in scripts, script);
});

test('every option in the pages is one of the command that it stands with', t => {
  const general = optionsOf();
  const wrong: string[] = [];
  let options = 0;
  for (const { command, words } of commandsSaid()) {
    t.true(commandsIn(help()).includes(command[0] ?? ''), command.join(' '));
    const known = [...optionsOf(...command), ...general];
    const said = words.match(/(?<= )--[a-z-]+/g) ?? [];
    options += said.length;
    wrong.push(
      ...said.filter(option => !known.includes(option)).map(option => `cluster ${command.join(' ')} ${option}`),
    );
  }
  // Its line in the table of commands names some too.
  for (const row of table('command | does').matchAll(/^\| `cluster ([a-z -]+)`.*$/gm)) {
    const [line, name = ''] = row;
    const known = optionsOf(...name.split(' '));
    wrong.push(...(line.match(/(?<=`)--[a-z-]+/g) ?? []).filter(option => !known.includes(option)));
  }
  t.true(options > 30, `${options}`);
  t.deepEqual(wrong, []);
});

test('the policy in deploy/POLICY.md is one, and shows every key in its place', t => {
  const shown = pathsIn(parse(POLICY));
  const unshown = keyPathsOf(policyJsonSchema()).filter(wanted => !shown.some(path => fits(path, wanted)));
  t.deepEqual(unshown, []);
});

test('the policy in deploy/POLICY.md has the values that hold where nothing is said, or says that they are others', t => {
  const { policy } = parsePolicy(POLICY);
  t.deepEqual(policy.timing, DEFAULT_TIMING);
  const { cluster, defaults } = parse(POLICY) as {
    readonly cluster: string;
    readonly defaults: Record<string, unknown>;
  };
  t.regex(POLICY, /^ {2}hold: .* # not the default\b/m);
  const { hold: _, ...usual } = defaults;
  const hosts = { imac: { sources: { photos: { path: '/photos' } } } };
  t.deepEqual(parsePolicy(stringify({ cluster, defaults: usual, hosts })), parsePolicy(stringify({ cluster, hosts })));
});

test('the hosts that the policy in deploy/POLICY.md shows can hold the copies that it wants', t => {
  const { hosts } = parsePolicy(POLICY).policy;
  for (const { name, sources } of hosts.values()) {
    const lenders = [...hosts.values()].filter(other => other.name !== name && other.stores.length > 0);
    for (const source of sources) t.true(source.copies <= lenders.length, source.name);
  }
});

test('every link between the pages leads to a page, and to a heading that is there', t => {
  const pages = ['README.md', ...['deploy', 'src', 'protocols'].flatMap(markdownIn)];
  const links = pages.flatMap(page =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => ({ page, to })),
  );
  t.true(links.length > 40, `${links.length}`);
  const leadNowhere = links.filter(({ page, to }) => {
    if (/^https?:/.test(to)) return false;
    const [path = '', heading] = to.split('#');
    const file = path === '' ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(ROOT, file))) return true;
    return heading !== undefined && !anchorsOf(readFileSync(join(ROOT, file), 'utf8')).includes(heading);
  });
  t.deepEqual(leadNowhere, []);
});

test('the README leads to each page for operators', t => {
  const unlinked = [...PAGES.keys()].filter(page => page !== 'README.md' && !README.includes(`(${page}`));
  t.deepEqual(unlinked, []);
});

/** Markdown files below a folder, from the root. A declaration, as the pages are read first of all. */
function markdownIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md'))
    .map(name => `${folder}/${name}`)
    .sort();
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** What stands as code in the pages of a command: which one it is, and the words after it. */
function commandsSaid(): { readonly command: readonly string[]; readonly words: string }[] {
  const blocks = [...ALL.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) => block.split('\n'));
  const inline = [...ALL.replaceAll(/```.*?```/gs, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  const names = commandsIn(help());
  return [...blocks, ...inline].flatMap(code =>
    [...code.matchAll(/\b(cluster|scatterhoard) (?!cluster\b)([a-z][a-z-]*)([^|;&<>]*)/g)].flatMap(
      ([, program, name = '', words = '']) => {
        // The other name is also that of the service's user.
        if (program === 'scatterhoard' && !names.includes(name)) return [];
        const below = name === 'config' ? words.trim().split(' ').slice(0, 1) : [];
        return [{ command: [name, ...below], words }];
      },
    ),
  );
}

function optionsOf(...command: readonly string[]): readonly string[] {
  return command[0] === 'help' ? [] : (help(...command).match(/--[a-z-]+/g) ?? []);
}

type KeyPath = readonly string[];

/** A key that is whatever somebody calls a host or a source. */
const ANY = '*';

const fits = (path: KeyPath, wanted: KeyPath): boolean =>
  path.length === wanted.length && wanted.every((key, at) => key === ANY || key === path[at]);

/** Where each key stands in a policy. What is in a list stands where the list does. */
function pathsIn(value: unknown, path: KeyPath = []): readonly KeyPath[] {
  if (Array.isArray(value)) return value.flatMap(item => pathsIn(item, path));
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, below]) => pathsIn(below, [...path, key]))];
}

/** The same of a JSON Schema. */
function keyPathsOf(schema: unknown, path: KeyPath = []): readonly KeyPath[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([word, below]): readonly KeyPath[] => {
    switch (word) {
      case 'properties':
        return Object.entries(below as object).flatMap(([key, what]) => [
          [...path, key],
          ...keyPathsOf(what, [...path, key]),
        ]);
      case 'additionalProperties':
        return keyPathsOf(below, [...path, ANY]);
      case 'items':
      case 'anyOf':
        return (Array.isArray(below) ? below : [below]).flatMap(what => keyPathsOf(what, path));
      default:
        return [];
    }
  });
}
