/**
 * A program for restore-xattrs.test.ts: a restore into the folder of its argument where koffi cannot be loaded. Prints what
 * was said, as one line of JSON.
 */
import { Blobs, fileOf, placed, restore } from './restore-fixture.js';

const [, , target = ''] = process.argv;
const list = placed([
  fileOf('bare', 'x'),
  fileOf('with', 'x', { xattrs: [{ name: Buffer.from('user.a'), value: Buffer.from('x') }] }),
]);
const { report, problems } = await restore({ target, list, blobs: new Blobs().add('x') });
const { files, kept, failed } = report;
const told = problems
  .filter(problem => problem.kind === 'not-set' && problem.what === 'attributes')
  .map(({ path, because }) => [path.toString(), because]);
process.stdout.write(`${JSON.stringify({ files, kept, failed, told })}\n`);
