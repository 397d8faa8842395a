/**
 * Absence keeper: keeps, over a restart, what the machine has learned of other hosts' absences: `STATE/absences.json`.
 *
 * On disk the end of an absence is a wall-clock time, because no other clock runs while this host is off; the machine
 * gets ages. A wall clock that was set back makes absences look younger (never below zero); one that was set forward
 * makes this host forget them. Either way hosts are waited for as long as the policy allows; no copy depends on it.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { ABSENCE_MEMORY_MS, ABSENCES_MAX, type Absence, withAbsence } from '../core/absence.js';
import type { PastAbsence } from '../core/effects.js';
import { type HostId, parseHostId } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';

const FILE = 'absences.json';

const absence = z.strictObject({
  lengthMs: z.number().nonnegative(),
  endedAtMs: z.number(),
  wasDead: z.boolean(),
});
const absencesFile = z.object({ hosts: z.record(z.string(), z.array(absence).max(ABSENCES_MAX)) });

export class AbsenceKeeper {
  readonly #stateDir: string;
  readonly #wallMs: () => number;
  readonly #isMember: (host: HostId) => boolean;
  readonly #log: Logger;
  readonly #byHost: Map<HostId, readonly Absence[]>;
  readonly #turns = new Turns<'write'>();

  constructor({
    stateDir,
    wallMs,
    isMember,
    log,
  }: {
    readonly stateDir: string;
    readonly wallMs: () => number;
    /** Other hosts' absences are not kept, so that the file stays as small as the cluster. */
    readonly isMember: (host: HostId) => boolean;
    readonly log: Logger;
  }) {
    this.#stateDir = stateDir;
    this.#wallMs = wallMs;
    this.#isMember = isMember;
    this.#log = log;
    this.#byHost = readAbsences(stateDir, log);
  }

  /** The absences that the machine starts with. */
  past(): readonly PastAbsence[] {
    const nowMs = this.#wallMs();
    return [...this.#byHost].flatMap(([host, absences]) =>
      absences.map(({ lengthMs, endedAtMs, wasDead }) => ({
        host,
        lengthMs,
        agoMs: Math.max(0, nowMs - endedAtMs),
        wasDead,
      })),
    );
  }

  /** Takes over an absence that the machine has just learned of. */
  note({ host, lengthMs, agoMs, wasDead }: PastAbsence): void {
    const latest = { lengthMs, endedAtMs: this.#wallMs() - agoMs, wasDead };
    this.#byHost.set(host, withAbsence(this.#byHost.get(host) ?? [], latest));
    void this.#turns
      .take('write', () => this.#write())
      .catch((error: unknown) => {
        this.#log.warn(
          { code: 'ABSENCES_NOT_KEPT', err: error },
          `${FILE} could not be written; after a restart absences are learned again`,
        );
      });
  }

  /** Waits for the write that is under way. */
  async close(): Promise<void> {
    await this.#turns.take('write', async () => undefined);
  }

  async #write(): Promise<void> {
    const nowMs = this.#wallMs();
    for (const [host, absences] of this.#byHost) {
      const recent = absences.filter(({ endedAtMs }) => nowMs - endedAtMs < ABSENCE_MEMORY_MS);
      if (recent.length === 0 || !this.#isMember(host)) this.#byHost.delete(host);
      else this.#byHost.set(host, recent);
    }
    const text = JSON.stringify({ hosts: Object.fromEntries(this.#byHost) }, undefined, 2);
    await writeDurable(join(this.#stateDir, FILE), `${text}\n`);
  }
}

/** Empty when the file is missing or damaged: what is usual for a host is then learned again. */
function readAbsences(stateDir: string, log: Logger): Map<HostId, readonly Absence[]> {
  const file = join(stateDir, FILE);
  const bytes = readIfThere(file);
  if (bytes === undefined) return new Map();
  try {
    const { hosts } = absencesFile.parse(JSON.parse(bytes.toString('utf8')));
    return new Map(Object.entries(hosts).map(([host, absences]) => [parseHostId(host), absences]));
  } catch (error) {
    log.warn(
      { err: error, file },
      'this file is damaged and will be rewritten; until then hosts are not waited for longer than the policy says',
    );
    return new Map();
  }
}
