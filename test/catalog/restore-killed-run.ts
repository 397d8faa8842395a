/** A program for restore-existing.test.ts: a restore that is killed when half of its last file has come. */
import { Blobs, ON_DISK, restore } from './restore-fixture.js';

const [target = ''] = process.argv.slice(2);
const blobs = new Blobs().add('content');
await restore({
  target,
  list: ON_DISK,
  blobs,
  existing: 'overwrite',
  onProgress: ({ bytes }) => {
    if (bytes > 0) process.kill(process.pid, 'SIGKILL');
  },
});
