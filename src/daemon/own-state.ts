/**
 * Own state: what this host has before it hears of any other host: who it is, which start this is, how long it has run,
 * and what lies on the state's disk. The folder's lock is held around all of it.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Signer } from '../core/signed.js';
import { type Membership, openMembership } from '../membership/membership.js';
import { hostIdOf } from '../membership/peer-key.js';
import { LOCK_NAME, takeLock } from '../platform/lock.js';
import { posixFault } from '../platform/posix.js';
import { countBoot } from './boot-counter.js';
import { type Clock, steadyClock } from './clock.js';
import { judgeOwn, leastOwnSeq } from './judge-own.js';
import { Pausing } from './pausing.js';
import { RunningTime } from './running-time.js';
import { openStateDisk, type StateDisk } from './state-disk.js';
import type { Teardown } from './teardown.js';

/** No store was ever mounted in this start: the first one is number 1. */
const NO_BOOT = 0;

export interface OwnState {
  readonly stateDir: string;
  /** For temporary files, on the state's disk. */
  readonly scratchFolder: string;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly running: RunningTime;
  readonly pausing: Pausing;
  readonly membership: Membership;
  readonly signer: Signer;
  /** This start's number. */
  readonly boot: number;
  readonly previousBoot: number;
  readonly disk: StateDisk;
  readonly log: Logger;
}

/** @throws StateLocked; ClusterError NO_CLUSTER, CONFIG_DAMAGED, … */
export async function openOwnState(
  { stateDir, log }: Pick<OwnState, 'stateDir' | 'log'>,
  teardown: Teardown,
): Promise<OwnState> {
  // The lock is released last: nobody else may open the folder's files while a part of this service still writes there.
  const lock = takeLock(join(stateDir, LOCK_NAME));
  teardown.defer(() => lock.release());
  const fault = posixFault();
  if (fault !== undefined)
    log.warn({ code: 'POSIX_MISSING', fault }, 'one disk flush a file, and no extended attributes');

  const clock = steadyClock();
  const wallMs = (): number => clock.wallMs();
  const running = new RunningTime({ stateDir, clock, log });
  const membership = await openMembership({ stateDir, clock: wallMs, runMs: () => running.nowMs(), log });
  teardown.defer(() => membership.stop());
  const { host, signer } = membership.identity;
  const firstHost = hostIdOf(signer.publicKey);
  const counted = await countBoot(stateDir, membership.predecessors);
  const { boot } = counted;
  // The counter of another machine is in the markers of the stores that came along with a host. Whatever it is, it says
  // nothing of this one's starts: each store that this machine has not had yet is read again.
  const previousBoot = host === firstHost ? counted.previousBoot : NO_BOOT;
  running.start();
  teardown.defer(() => running.stop());
  const disk = await openStateDisk(
    {
      stateDir,
      signer,
      judge: judgeOwn(membership),
      leastSeq: leastOwnSeq(membership),
      host,
      firstHost,
      wallMs: wallMs(),
      log,
    },
    teardown,
  );
  const pausing = new Pausing({ stateDir, clock, log });
  teardown.defer(() => pausing.stop());
  const scratchFolder = join(stateDir, 'catalog');
  return {
    stateDir,
    scratchFolder,
    clock,
    wallMs,
    running,
    pausing,
    membership,
    signer,
    boot,
    previousBoot,
    disk,
    log,
  };
}
