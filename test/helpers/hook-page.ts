/** Hook page: the shell of deploy/HOOKS.md, as people copy it from there, and a `sqlite3` for it where none is installed. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const PAGE = readFileSync(new URL('../../../deploy/HOOKS.md', import.meta.url), 'utf8');

export const scripts = [...PAGE.matchAll(/```sh\n(.*?)```/gs)].map(([, text = '']) => text);
/** What stands in a row of a table and begins with a command. */
export const statements = [...PAGE.matchAll(/`((?:cd|pg_dump|mariadb-dump|docker) [^`]*)`/g)].map(
  ([, text = '']) => text,
);

export const scriptWith = (words: string): string => {
  const found = scripts.find(text => text.includes(words));
  if (found === undefined) throw new Error(`deploy/HOOKS.md has no script with ${words}`);
  return found;
};

/** Writes a program `sqlite3 FILE STATEMENTS` into a folder. As the real one it makes a file that is not there. */
export function makeSqlite(folder: string): void {
  const file = join(folder, 'sqlite3');
  writeFileSync(
    file,
    `#!${process.execPath}
const { Database } = require(${JSON.stringify(createRequire(import.meta.url).resolve('node-sqlite3-wasm'))});
const [file, statements] = process.argv.slice(2);
const db = new Database(file);
try {
  db.exec(statements);
} finally {
  db.close();
}
`,
  );
  chmodSync(file, 0o755);
}
