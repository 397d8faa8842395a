/** Plain tree: many small files in some folders, each with a content of its own: several parcels, quickly made. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILES_PER_FOLDER = 50;

/** `name` parts the trees of one test: no two share a content. */
export function makePlainTree(root: string, { files, name }: { readonly files: number; readonly name: string }): void {
  for (let n = 0; n < files; n += 1) {
    const folder = join(root, name, `folder ${Math.floor(n / FILES_PER_FOLDER)}`);
    if (n % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
    const content = createHash('sha512').update(`${name} ${n}`).digest('hex');
    writeFileSync(join(folder, `file ${n}`), content.repeat((n % 40) + 1));
  }
}
