/**
 * Tidy: the rules about the sources themselves (src/DESIGN.md, "Folders and imports"), and that what they cite is there.
 *
 * It reads the TypeScript sources, not what was built of them; type imports count like all others.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';

/** Where npm runs the tests. */
const ROOT = process.cwd();
const SOURCE_FOLDERS = ['src', 'protocols', 'sim', 'test'];

/** Parts that a part may import, besides itself. A part is a folder of src, or one of the other source folders. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  platform: [],
  protocols: [],
  membership: ['core', 'protocols', 'net', 'platform'],
  store: ['core', 'protocols', 'platform'],
  net: ['core', 'protocols', 'platform'],
  catalog: ['core', 'protocols', 'platform'],
  daemon: ['core', 'protocols', 'platform', 'membership', 'store', 'net', 'catalog'],
  cli: ['core'],
  sim: ['core'],
  test: ['core', 'protocols', 'platform', 'membership', 'store', 'net', 'catalog', 'daemon', 'cli', 'sim'],
};

/** The core is pure: hashing and canonical bytes are all that it takes from outside. */
const CORE_PACKAGES = ['@napi-rs/blake-hash', 'blake3-wasm', 'cborg'];

/** Files of the command line that do without the service, and so reach the parts themselves. */
const SERVICELESS = [
  'init',
  'join',
  'key',
  'restore',
  'restorable',
  'restore-problems',
  'restore-from-store',
  'list-from-store',
  'on-stores',
  'sources-on-stores',
].map(name => `src/cli/${name}.ts`);
const SERVICELESS_PARTS = ['membership', 'catalog', 'store', 'net'];

/** The checks of `doctor`, which looks at everything itself. */
const DOCTOR = [
  'examine-host',
  'look',
  'machine-checks',
  'state-checks',
  'cluster-checks',
  'cluster-here',
  'store-checks',
  'source-checks',
  'service-checks',
].map(name => `src/cli/${name}.ts`);
const DOCTOR_PARTS = ['membership', 'catalog', 'store', 'platform'];
/** Where this host has made stores. */
const DOCTOR_FILES = ['src/daemon/made-stores.ts'];

/** Single files that the whole command line may import, and why. */
const CLI_MAY_IMPORT = [
  // The control API's client and the words it speaks.
  'src/daemon/control-client.ts',
  'src/daemon/control-wire.ts',
  'src/daemon/service.ts',
  // Whose the state folder is, for what writes there without the service.
  'src/daemon/state-owner.ts',
  // Must come before libp2p.
  'src/platform/node-shims.ts',
  // In place of AbortSignal.any.
  'src/platform/abort-with.ts',
  // The end of a process of which a disk hangs.
  'src/platform/end-process.ts',
  // The log on stderr, which ends or hangs nothing when it cannot be written.
  'src/platform/log-lines.ts',
  // Durations as people give them, some of which Node's own timers do not take.
  'src/platform/long-timer.ts',
  // A file as a whole, or none: for what a command writes into a folder of the user's.
  'src/platform/durable.ts',
  // How paths, entries, what is missing, kinds of snapshots, sizes and times stand in text: pure, and the same for those who write and who read it.
  'src/catalog/path-text.ts',
  'src/catalog/missing-text.ts',
  'src/catalog/entry.ts',
  'src/catalog/retention.ts',
  'src/catalog/diff.ts',
  'src/membership/policy-units.ts',
  // Which name somebody may have meant: pure.
  'src/membership/near-name.ts',
];

const CLOCKS_AND_DICE: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\b(?!\s*\(\s*[^\s)])/,
  /\bMath\.random\b/,
  /\bperformance\.(now|timeOrigin)\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\brandom(Bytes|UUID|Int|FillSync)\b/,
  /\bgetRandomValues\b/,
  /\bprocess\.hrtime\b/,
];

const MAKES_TEMPORARY_FOLDER = /\bmkdtemp(Sync)?\b/;

/** The service itself is a command, and so is what is done to its state while it is stopped. */
const SERVICE_OWN = ['src/cli/up.ts', 'src/cli/rebuild-index.ts'];

const TOP_LEVEL = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'src',
  'protocols',
  'sim',
  'test',
  'deploy',
  'README.md',
  'LICENSE',
  // Made by tools, and ignored by git.
  'node_modules',
  'build',
];

const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|d))?\.[a-z0-9]+$/;
/** For people, who look for it by such a name. */
const DESIGN_PAGE = 'src/DESIGN.md';

interface Source {
  /** From the root, with slashes. */
  readonly file: string;
  readonly text: string;
}

/** `src/core/ids.ts` → core; `test/net/x.ts` → test. */
function partOf(file: string): string {
  const [top = '', folder = ''] = file.split('/');
  return top === 'src' ? folder : top;
}

const importsOf = ({ text }: Source): string[] =>
  [...withoutComments(text).matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)'([^']+)'/g)].map(([, what = '']) => what);

/** The file that a relative import of ours means. */
const targetOf = (file: string, imported: string): string =>
  normalize(join(dirname(file), imported)).replace(/\.js$/, '.ts');

/** What of a source's imports the directions forbid. */
function forbiddenImports(source: Source): string[] {
  const { file } = source;
  const part = partOf(file);
  return importsOf(source).filter(imported => {
    if (!imported.startsWith('.')) {
      return part === 'core' && !CORE_PACKAGES.some(name => imported === name || imported.startsWith(`${name}/`));
    }
    const target = targetOf(file, imported);
    const to = partOf(target);
    if (to === part || MAY_IMPORT[part]?.includes(to)) return false;
    if (part !== 'cli') return true;
    if (CLI_MAY_IMPORT.includes(target)) return false;
    if (SERVICELESS.includes(file) && SERVICELESS_PARTS.includes(to)) return false;
    if (DOCTOR.includes(file) && (DOCTOR_PARTS.includes(to) || DOCTOR_FILES.includes(target))) return false;
    if (SERVICE_OWN.includes(file) && to === 'daemon') return false;
    return !(file === 'src/cli/simulate.ts' && to === 'sim');
  });
}

/** What is loaded along with a file: its imports of values, and theirs. */
function loadedWith(file: string): Set<string> {
  const loaded = new Set([file]);
  for (const one of loaded) {
    const text = withoutComments(SOURCES.find(source => source.file === one)?.text ?? '');
    for (const [, imported = ''] of text.matchAll(/^(?:import|export) (?!type )[^;']*?from '(\.[^']+)'/gm))
      loaded.add(targetOf(one, imported));
  }
  return loaded;
}

/** A chain of imports that ends where it began; `undefined` when there is none. */
function findCycle(sources: readonly Source[]): string[] | undefined {
  const edges = new Map(
    sources.map(source => [
      source.file,
      importsOf(source)
        .filter(imported => imported.startsWith('.'))
        .map(imported => targetOf(source.file, imported)),
    ]),
  );
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const cycle = visit(next, [...way, file]);
      if (cycle !== undefined) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const cycle = visit(file, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

const clocksAndDice = ({ text }: Source): string[] => {
  const code = withoutStrings(withoutComments(text));
  return CLOCKS_AND_DICE.flatMap(banned => code.match(banned)?.[0] ?? []);
};

/** Synchronous calls stay: they are made in threads of their own, or at start. */
const sharedFileCalls = (source: Source): string[] =>
  importsOf(source).filter(imported => /^(node:)?fs\/promises$/.test(imported));

/** What a text cites of src/DESIGN.md: headings and invariants; and what would cite it in another way. */
const citations = (text: string): string[] =>
  [...text.matchAll(/\bDESIGN\.md, "([^"]*)"|\b(I\d{1,2})\b|\bDESIGN\b(?!\.md)/g)].map(
    ([all, heading, invariant]) => heading ?? invariant ?? all,
  );

/** Strings are matched first, so that a `//` in one begins no comment. */
const STRINGS_AND_COMMENTS = /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
const withoutComments = (text: string): string => text.replace(STRINGS_AND_COMMENTS, (_, literal) => literal ?? ' ');
/** Not templates: there is code in them. */
const withoutStrings = (text: string): string => text.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, "''");

function filesBelow(folder: string): string[] {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap(entry => {
    const file = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(file) : [file];
  });
}

const FILES = SOURCE_FOLDERS.flatMap(filesBelow);
const SOURCES: readonly Source[] = FILES.filter(file => file.endsWith('.ts')).map(file => ({
  file,
  text: readFileSync(join(ROOT, file), 'utf8'),
}));

test('the sources are where this test looks for them', t => {
  t.true(
    SOURCES.some(({ file }) => file === 'src/core/ids.ts'),
    `no sources below ${ROOT}`,
  );
});

test('imports go only in their directions', t => {
  const forbidden = SOURCES.flatMap(source => forbiddenImports(source).map(imported => `${source.file} → ${imported}`));
  t.deepEqual(forbidden, []);
});

test('every folder of src has its directions written down', t => {
  const parts = new Set(SOURCES.map(({ file }) => partOf(file)));
  t.deepEqual(
    [...parts].filter(part => MAY_IMPORT[part] === undefined),
    [],
  );
});

test('no file imports itself, by whatever detour', t => {
  t.deepEqual(findCycle(SOURCES), undefined);
});

test('a command starts without the simulator, the machine and the hash: it loads them when it is to use them', t => {
  // Each command's file is loaded when it is typed (src/cli/commands.ts).
  const commands = SOURCES.find(({ file }) => file === 'src/cli/commands.ts')?.text ?? '';
  const typed = [...commands.matchAll(/import\('\.\/([a-z-]+)\.js'\)/g)].map(([, name]) => `src/cli/${name}.ts`);
  const loaded = new Set(['src/cli/main.ts', ...typed].flatMap(file => [...loadedWith(file)]));
  t.true(loaded.has('src/cli/simulate.ts') && loaded.has('src/daemon/control-client.ts'));
  const heavy = [...loaded].filter(file => /^sim\/|^src\/core\/(hash|machine)\.ts$|^src\/net\//.test(file));
  t.deepEqual(heavy, []);
});

test('core and simulator have no clock and no dice', t => {
  const pure = SOURCES.filter(({ file }) => file.startsWith('src/core/') || file.startsWith('sim/'));
  t.deepEqual(
    pure.flatMap(source => clocksAndDice(source).map(found => `${source.file}: ${found}`)),
    [],
  );
});

test('no source calls AbortSignal.any, which leaks at each call: there is abort-with.ts', t => {
  const calling = SOURCES.filter(
    ({ file, text }) => file.startsWith('src/') && /\bAbortSignal\.any\(/.test(withoutComments(text)),
  );
  t.deepEqual(
    calling.map(({ file }) => file),
    [],
  );
});

test('a store makes its file calls by its own disk: none is of those for which all of the process waits together', t => {
  const ofStores = SOURCES.filter(({ file }) => file.startsWith('src/store/'));
  t.deepEqual(
    ofStores.flatMap(source => sharedFileCalls(source).map(found => `${source.file}: ${found}`)),
    [],
  );
});

test('temporary folders are made in one place, which sees to it that they go', t => {
  const makers = SOURCES.filter(({ text }) => MAKES_TEMPORARY_FOLDER.test(withoutStrings(withoutComments(text))));
  t.deepEqual(
    makers.map(({ file }) => file),
    ['test/helpers/temporary-folder.ts'],
  );
});

test('no file reaches outside the project', t => {
  // Put together here, so that this file does not find itself.
  const outside = new RegExp(['\\.\\./', 'shared\\b'].join(''));
  t.deepEqual(
    SOURCES.filter(({ text }) => outside.test(text)).map(({ file }) => file),
    [],
  );
  const escaping = SOURCES.flatMap(source => {
    const relative = importsOf(source).filter(imported => imported.startsWith('.'));
    return relative.map(imported => targetOf(source.file, imported)).filter(target => target.startsWith('..'));
  });
  t.deepEqual(escaping, []);
});

test('at the top level there is nothing visible but what has its place there', t => {
  const visible = readdirSync(ROOT).filter(name => !name.startsWith('.'));
  t.deepEqual(
    visible.filter(name => !TOP_LEVEL.includes(name)),
    [],
  );
});

test('file names are kebab-case', t => {
  t.deepEqual(
    FILES.filter(file => file !== DESIGN_PAGE && !KEBAB_CASE.test(file.split('/').at(-1) ?? '')),
    [],
  );
});

test('src/DESIGN.md has each heading and each invariant that a source cites, and every file that it names itself', t => {
  const design = readFileSync(join(ROOT, DESIGN_PAGE), 'utf8');
  const headings = new Set([...design.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading));
  const invariants = new Set([...design.matchAll(/^- \*\*(I\d+)\*\*/gm)].map(([, invariant = '']) => invariant));
  t.deepEqual(
    [...invariants],
    Array.from({ length: 13 }, (_, i) => `I${i + 1}`),
  );
  const cited = FILES.filter(file => file !== DESIGN_PAGE && /\.(ts|md|pml|proto)$/.test(file)).flatMap(file =>
    // As one line, for comments are wrapped.
    citations(readFileSync(join(ROOT, file), 'utf8').replace(/\n *(\*|\/\/) ?/g, ' ')).map(what => ({ file, what })),
  );
  t.deepEqual(
    cited.filter(({ what }) => !headings.has(what) && !invariants.has(what)),
    [],
  );
  t.true(cited.some(({ what }) => what === 'How a copy is dropped') && cited.some(({ what }) => what === 'I13'));
  const named = [...design.matchAll(/`((?:src|sim|test|protocols|deploy)\/[^`\s]+)`/g)].map(([, file = '']) => file);
  t.true(named.length > 50, `${named.length}`);
  t.deepEqual(
    named.filter(file => !existsSync(join(ROOT, file))),
    [],
  );
});

test('src/DESIGN.md says of each folder what it may import, as it is checked here', t => {
  const rows = readFileSync(join(ROOT, DESIGN_PAGE), 'utf8').matchAll(/^\| `([a-z/]+)` \|[^|]*\|(.*)\|$/gm);
  const said = Object.fromEntries(
    [...rows]
      .filter(([, folder = '']) => folder === 'test' || MAY_IMPORT[partOf(`${folder}/`)] !== undefined)
      .map(([, folder = '', may = '']) => [partOf(`${folder}/`), may.match(/[a-z]+/g) ?? []]),
  );
  t.deepEqual(said, { ...MAY_IMPORT, test: ['all'] });
});

test('the rules find what breaks them', t => {
  const imports = (file: string, ...imported: string[]) =>
    forbiddenImports({ file, text: imported.map(what => `import { x } from '${what}';\n`).join('') });
  t.deepEqual(imports('src/core/grab.ts', './ids.js', 'cborg', '../platform/lock.js', 'node:fs'), [
    '../platform/lock.js',
    'node:fs',
  ]);
  t.deepEqual(imports('src/store/store.ts', '../core/ids.js', '../net/net.js', 'lmdb'), ['../net/net.js']);
  t.deepEqual(imports('src/platform/lock.ts', '../core/ids.js'), ['../core/ids.js']);
  t.deepEqual(imports('src/cli/join.ts', '../membership/join.js', '../daemon/driver.js'), ['../daemon/driver.js']);
  t.deepEqual(imports('src/cli/status.ts', '../daemon/service.js', '../store/store.js'), ['../store/store.js']);
  t.deepEqual(imports('src/cli/store-checks.ts', '../store/marker.js', '../daemon/own-stores.js'), [
    '../daemon/own-stores.js',
  ]);
  t.deepEqual(imports('src/cli/simulate.ts', '../../sim/world.js'), []);
  t.deepEqual(imports('src/daemon/driver.ts', '../../sim/world.js', '../cli/up.js'), [
    '../../sim/world.js',
    '../cli/up.js',
  ]);
  t.deepEqual(forbiddenImports({ file: 'src/core/a.ts', text: "const x = await import('../net/net.js');" }), [
    '../net/net.js',
  ]);
  t.deepEqual(forbiddenImports({ file: 'src/core/a.ts', text: "// import { x } from '../net/net.js';" }), []);

  // Put together here, so that this file does not cite what is not there.
  const aPage = ['DES', 'IGN.md'].join('');
  t.deepEqual(citations(`see src/${aPage}, "A heading", for I3 and I${14}, IO1; ${aPage.slice(0, -3)} section 2`), [
    'A heading',
    'I3',
    `I${14}`,
    aPage.slice(0, -3),
  ]);

  const fileCalls = (text: string) => sharedFileCalls({ file: 'src/store/a.ts', text });
  t.deepEqual(fileCalls("import { open } from 'node:fs/promises';"), ['node:fs/promises']);
  t.deepEqual(fileCalls("import { open } from '../platform/disk-calls.js';\nimport { statSync } from 'node:fs';"), []);

  const cycle = findCycle([
    { file: 'src/a/a.ts', text: "import type { B } from './b.js';" },
    { file: 'src/a/b.ts', text: "export { C } from './c.js';" },
    { file: 'src/a/c.ts', text: "import './b.js';" },
  ]);
  t.deepEqual(cycle, ['src/a/b.ts', 'src/a/c.ts', 'src/a/b.ts']);

  const found = (text: string) => clocksAndDice({ file: 'src/core/a.ts', text });
  t.deepEqual(found('const a = Date.now(); const b = `${' + 'Math.random()}`; new Date(); setTimeout(f, 1);'), [
    'Date.now',
    'new Date',
    'Math.random',
    'setTimeout',
  ]);
  t.deepEqual(
    found("new Date(nowMs); // not Date.now()\nconst url = 'http://x'; const why = 'Math.random is banned';"),
    [],
  );
});
