/**
 * Absence keeper: what the machine has learned of the other hosts' absences, in `STATE/absences.json`, over a restart.
 *
 * On disk the ends of absences are told by the wall clock, for no other clock goes on while we are off; the machine gets
 * ages. A wall clock that was set back makes them younger than they are (never less than nothing), one that was set forward
 * makes us forget: either way hosts are waited for as long as the policy allows, and no copy depends on it.
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
    /** Others are not kept: the file stays as small as the cluster. */
    readonly isMember: (host: HostId) => boolean;
    readonly log: Logger;
  }) {
    this.#stateDir = stateDir;
    this.#wallMs = wallMs;
    this.#isMember = isMember;
    this.#log = log;
    this.#byHost = readAbsences(stateDir, log);
  }

  /** For the machine, at its start. */
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

  /** Takes over from now on that the machine has learned of an absence. */
  note({ host, lengthMs, agoMs, wasDead }: PastAbsence): void {
    const latest = { lengthMs, endedAtMs: this.#wallMs() - agoMs, wasDead };
    this.#byHost.set(host, withAbsence(this.#byHost.get(host) ?? [], latest));
    void this.#turns
      .take('write', () => this.#write())
      .catch((error: unknown) => {
        this.#log.warn(
          { code: 'ABSENCES_NOT_KEPT', err: error },
          `${FILE} could not be written; after a restart absences are learned anew`,
        );
      });
  }

  /** Waits for what is being written. */
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

/** Nothing when there is no such file, or it is damaged: what is usual of a host is then learned anew. */
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
      'this file is damaged and will be written anew; until then hosts are not waited for longer than the policy says',
    );
    return new Map();
  }
}
