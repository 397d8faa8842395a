/**
 * Something missing: why `--accept-changes` was refused. A change that a person has seen is accepted, but not with it
 * whatever is away just now and may come back: that takes another word.
 *
 * Thrown by snapshot-runs.ts, and by orders.ts for what another host says.
 */
import type { Missing } from '../catalog/merge-scan.js';
import { missingText } from '../catalog/missing-text.js';
import { ClusterError } from '../core/fault.js';

export class SomethingMissing extends ClusterError {
  readonly missing: Missing;

  /** `name`: the source's, as a person can type it on any host. */
  constructor(name: string, missing: Missing) {
    super(
      'NEEDS_YES',
      `source ${name} was not backed up and nothing was accepted, because something is missing, and the snapshots would have none of it any longer: ${missingText(missing)}. Mount it, then try again. If it is gone for good, 'cluster backup ${name} --accept-changes --yes' lets go of it; earlier snapshots are kept`,
      { blame: 'operator' },
    );
    this.missing = missing;
  }
}
