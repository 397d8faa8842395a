/** Sent bytes: how much a service has written, to peers above all, where what it has to write to disks is little. */
import { existsSync, readFileSync } from 'node:fs';
import type { RealHost } from './real-cluster.js';

/** Why that is not known on this system; `undefined` where it is. */
export const whyNoSentBytes = (): string | undefined =>
  existsSync('/proc/self/io') ? undefined : 'what a service sends is read from /proc, which is of Linux';

export const sentBytes = ({ pid }: RealHost): number =>
  Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
