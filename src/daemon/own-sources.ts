/**
 * Own sources: the origin of this host's sources, and what it asks before it acts: the brakes, the hooks, the rules of
 * retention, and the other members, which may remember later heads of this host than this disk has.
 */
import type { Logger } from 'pino';
import { lookAtForbidden } from '../catalog/forbidden-folder.js';
import type { Machine } from '../core/machine.js';
import type { Signer } from '../core/signed.js';
import type { Net } from '../net/net.js';
import type { Alarms } from './alarms.js';
import { Brakes } from './brakes.js';
import type { Clock } from './clock.js';
import { Hooks } from './hooks.js';
import type { KnownSources } from './known-sources.js';
import { meetMembers } from './meet-members.js';
import { OnceCopied } from './once-copied.js';
import { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { Pausing } from './pausing.js';
import type { Protections } from './protection.js';
import { Retainer } from './retention.js';
import type { Roster } from './roster.js';
import type { SourceDisks } from './source-disks.js';
import type { SourceNames } from './source-names.js';
import type { StateDisk } from './state-disk.js';
import type { StateExchange } from './state-exchange.js';
import type { Teardown } from './teardown.js';

export interface OwnSourcesOptions {
  readonly stateDir: string;
  /** For temporary files; on the disk of the state folder. */
  readonly scratchFolder: string;
  readonly signer: Signer;
  readonly disk: Pick<StateDisk, 'beginScan' | 'history' | 'cache'>;
  readonly known: KnownSources;
  readonly protections: Protections;
  readonly stores: Pick<OwnStores, 'forbidden'>;
  readonly sourceDisks: Pick<SourceDisks, 'hanging'>;
  readonly exchange: Pick<StateExchange, 'ask'>;
  readonly machine: Machine;
  readonly names: Pick<SourceNames, 'nameOf'>;
  readonly roster: Roster;
  readonly net: Pick<Net, 'clockAheadMs' | 'connected'>;
  readonly clock: Clock;
  readonly pausing: Pausing;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export async function makeOrigin(options: OwnSourcesOptions, teardown: Teardown): Promise<Origin> {
  const { stateDir, scratchFolder, signer, disk, known, protections, stores, sourceDisks, exchange } = options;
  const { machine, names, roster, net, clock, pausing, alarms, log, signal } = options;
  const { catalog, forgotten, mending, revocations } = known;
  const { self } = roster;
  const brakes = new Brakes({ stateDir, nameOf: source => names.nameOf(source), alarms, log });
  const wallMs = (): number => clock.wallMs();
  const onceCopied = new OnceCopied({ self, stateDir, known: machine.known, objects: mending, wallMs, log });
  const clockAheadMs = (): number | undefined => net.clockAheadMs();
  const stateFolder = await lookAtForbidden(stateDir);
  const origin = new Origin({
    host: self,
    signer,
    history: disk.history,
    catalog,
    forgotten,
    objects: mending,
    known: machine.known,
    cache: disk.cache,
    beginScan: disk.beginScan,
    clock,
    pausing,
    names,
    alarms,
    brakes,
    hooks: new Hooks({ stateDir, log }),
    retainer: new Retainer({ catalog, protections, onceCopied, brakes, clockAheadMs, wallMs }),
    onceCopied,
    log,
    signal,
    scratchFolder,
    forbidden: () => [stateFolder, ...stores.forbidden()],
    hanging: source => sourceDisks.hanging(source),
    owedSeq: source => revocations.lastHead(source)?.seq ?? 0,
    askEverybody: async () => {
      await meetMembers({ connected: () => net.connected(), roster, clock, signal });
      await Promise.all(net.connected().map(peer => exchange.ask(roster.hostOf(peer) ?? self)));
    },
  });
  teardown.defer(() => origin.stop());
  return origin;
}
