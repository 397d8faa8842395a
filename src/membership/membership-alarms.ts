/**
 * Membership alarms: what in the admissions and the configurations wants a person, one line each. Computed again at
 * each look.
 */
import type { HostId } from '../core/ids.js';
import type { NotAbsorbed } from './admin.js';
import type { LostVersion } from './config-store.js';
import type { Configuration, Revocation } from './configuration.js';
import type { Identity } from './identity.js';
import { isReplaced } from './replacement.js';
import type { Roster } from './roster.js';

const HOUR_MS = 3_600_000;
/** Clocks without a time server are off by minutes; one that is off by more was set wrong. */
const AHEAD_MS_MAX = 24 * HOUR_MS;

export function membershipAlarms({
  self,
  configuration,
  refused,
  lost,
  shutOut,
  hasUnreadable,
  unwritten,
  notAbsorbed,
  clockMs,
}: {
  readonly self: Pick<Identity, 'host' | 'peer'>;
  readonly configuration: Pick<Configuration, 'members' | 'replaced' | 'revoked' | 'signedMs' | 'version'>;
  readonly refused: Roster['refused'];
  readonly lost: readonly LostVersion[];
  /** Revoked only by these. */
  readonly shutOut: readonly Revocation[];
  /** An admin has signed a policy that this release cannot read. */
  readonly hasUnreadable: boolean;
  /** Verified versions that the disk refuses, and why. */
  readonly unwritten: { readonly versions: readonly number[]; readonly because: string };
  readonly notAbsorbed: NotAbsorbed | undefined;
  /** By this host's clock. */
  readonly clockMs: number;
}): readonly string[] {
  const refusals = refused.map(({ admission, because }) => {
    const who = admission.peer === self.peer ? 'this host' : `${admission.wantedName} (${admission.host})`;
    const by = configuration.members.find(({ peer }) => peer === admission.admitter)?.name ?? admission.admitter;
    const why = {
      'used-up': 'its invite was used up by another host that joined at the same time; make a new invite for it',
      'invite-closed':
        'a host that joined by its invite was revoked, which closes the invite; make a new invite for it',
      'key-taken': 'its key is revoked or belongs to another host; join it again with a new state folder',
      'not-valid-here': 'the admin or the member that vouched for it no longer is one; make a new invite for it',
      full: 'the cluster has as many members as it can have, counting those that were revoked',
    }[because];
    return `${who}, admitted by ${by}, is refused: ${why}`;
  });
  const nameOf = (host: HostId): string => configuration.members.find(member => member.host === host)?.name ?? host;
  const forks = lost.map(({ version, policyPath, revoked, replaced }) => {
    const out = [...revoked, ...replaced];
    const namesOf = (among: readonly Revocation[]): string =>
      out
        .filter(({ peer }) => among.some(other => other.peer === peer))
        .map(({ host }) => nameOf(host))
        .join(', ');
    const [stay, wait] = [namesOf(configuration.revoked), namesOf(shutOut)];
    const undone = replaced.filter(({ peer }) => !isReplaced(configuration, peer)).map(({ host }) => nameOf(host));
    const told = [
      `configuration ${version} was signed twice, by admins who were not connected; the version that lost is kept in ${policyPath}`,
      ...(stay === '' ? [] : [`What it revoked stays revoked: ${stay}`]),
      ...(wait === ''
        ? []
        : [
            `These hosts, which it revoked, are shut out by this host: ${wait}. All hosts shut them out once one with the admin key has written that down, which it does on its own when it has both versions. If it does not, revoke them there once more`,
          ]),
      ...(undone.length === 0
        ? []
        : [
            `The machine that was to go on in the place of ${undone.join(', ')} does not: it is a host of its own under the name by which it joined, if it is a member. What ${undone.join(', ')} backed up stays, and can be restored: give the machine the same folders as sources of its own`,
          ]),
      'Apply the missing changes again, then remove that version from config/lost',
    ];
    return told.join('. ');
  });
  const unreadable = hasUnreadable
    ? [`there is a configuration after ${configuration.version} that this release cannot read; update this host`]
    : [];
  const refusedByDisk =
    unwritten.versions.length === 0
      ? []
      : [
          `configuration ${unwritten.versions.join(', ')} cannot be written (${unwritten.because}). Whom it revokes is shut out by this host; all else in it waits. It is tried again by itself`,
        ];
  const notWrittenDown =
    notAbsorbed === undefined
      ? []
      : [
          `${notAbsorbed.names.join(', ')}: admitted, or revoked elsewhere, and not yet in the configuration, because this host cannot write it (${notAbsorbed.because}). Until then an admitted host stays provisional, and its copies do not count. The service's user must be able to write config/ in the state folder; then restart the service`,
        ];
  const aheadMs = configuration.signedMs - clockMs;
  const ahead =
    aheadMs > AHEAD_MS_MAX
      ? [
          `configuration ${configuration.version} was signed at ${new Date(configuration.signedMs).toISOString()}, ${Math.floor(aheadMs / HOUR_MS)} hours ahead of this host's clock. If this clock is wrong, set it. If it is right, set the clock of the host with the admin key and change the configuration there once more. Until then new invites carry that date, and still last as long as they should`,
        ]
      : [];
  const gone = isReplaced(configuration, self.peer)
    ? [
        `another machine goes on as ${nameOf(self.host)}, and the key of this one is shut out: nothing is taken from it any more. Stop its service, and attach the disks of its stores to the other machine. To use this one as a further host, let it join with a new state folder`,
      ]
    : [];
  return [...gone, ...refusals, ...forks, ...unreadable, ...refusedByDisk, ...notWrittenDown, ...ahead];
}
