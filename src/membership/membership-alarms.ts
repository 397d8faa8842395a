/** Membership alarms: what of the admissions and the configurations wants a person, one line each. Found anew at each look. */
import type { HostId } from '../core/ids.js';
import type { NotAbsorbed } from './admin.js';
import type { LostVersion } from './config-store.js';
import type { Configuration, Revocation } from './configuration.js';
import type { Roster } from './roster.js';

const HOUR_MS = 3_600_000;
/** Clocks without a time server go wrong by minutes; one that is off by more was set wrong. */
const AHEAD_MS_MAX = 24 * HOUR_MS;

export function membershipAlarms({
  self,
  configuration,
  refused,
  lost,
  shutOut,
  hasUnreadable,
  notAbsorbed,
  clockMs,
}: {
  readonly self: HostId;
  readonly configuration: Pick<Configuration, 'members' | 'revoked' | 'signedMs' | 'version'>;
  readonly refused: Roster['refused'];
  readonly lost: readonly LostVersion[];
  /** Revoked by these alone. */
  readonly shutOut: readonly Revocation[];
  /** An admin has signed a policy that this release cannot read. */
  readonly hasUnreadable: boolean;
  readonly notAbsorbed: NotAbsorbed | undefined;
  /** By this host's clock. */
  readonly clockMs: number;
}): readonly string[] {
  const refusals = refused.map(({ admission, because }) => {
    const who = admission.host === self ? 'this host' : `${admission.wantedName} (${admission.host})`;
    const by = configuration.members.find(({ peer }) => peer === admission.admitter)?.name ?? admission.admitter;
    const why = {
      'used-up': 'its invite was used up by another host that joined at the same time; make it a new invite',
      'invite-closed': 'a host that came by its invite was revoked, which closes that; make it a new invite',
      'key-taken': 'its key is revoked or belongs to another host; join it again with a new state folder',
      'not-valid-here': 'the admin or the member that vouched for it is none any more; make it a new invite',
      full: 'the cluster has as many members as it can have, those that were revoked among them',
    }[because];
    return `${who}, admitted by ${by}, is refused: ${why}`;
  });
  const forks = lost.map(({ version, policyPath, revoked }) => {
    const namesOf = (among: readonly Revocation[]): string =>
      revoked
        .filter(({ peer }) => among.some(other => other.peer === peer))
        .map(({ host }) => configuration.members.find(member => member.host === host)?.name ?? host)
        .join(', ');
    const [stay, wait] = [namesOf(configuration.revoked), namesOf(shutOut)];
    const told = [
      `configuration ${version} was signed twice by admins apart from each other; the one that lost is kept in ${policyPath}`,
      ...(stay === '' ? [] : [`What it revoked stays revoked: ${stay}`]),
      ...(wait === ''
        ? []
        : [
            `What it revoked is shut out by this host, and by all once a host with the admin key has written it down, which that one does by itself where it has both: ${wait}. If it does not, revoke it there once more`,
          ]),
      'Apply again what is missing, then remove it from config/lost',
    ];
    return told.join('. ');
  });
  const unreadable = hasUnreadable
    ? [`there is a configuration after ${configuration.version} that this release cannot read; update this host`]
    : [];
  const unwritten =
    notAbsorbed === undefined
      ? []
      : [
          `${notAbsorbed.names.join(', ')}: admitted, or revoked elsewhere, and not written into the configuration, for this host cannot write it (${notAbsorbed.because}). Until it is, who was admitted stays provisional, and its copies do not count. The service's user must be able to write config/ in the state folder; then start the service anew`,
        ];
  const aheadMs = configuration.signedMs - clockMs;
  const ahead =
    aheadMs > AHEAD_MS_MAX
      ? [
          `configuration ${configuration.version} was signed at ${new Date(configuration.signedMs).toISOString()}, ${Math.floor(aheadMs / HOUR_MS)} hours ahead of this host's clock. If this clock is wrong, set it; if not, set that of the host with the admin key and change the configuration there once more. Until then new invites carry that date, and last as long as they should`,
        ]
      : [];
  return [...refusals, ...forks, ...unreadable, ...unwritten, ...ahead];
}
