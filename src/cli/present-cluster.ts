/** Present cluster: the hosts and the parcels that count when a command asks what a loss would take. */
import type { HostReport, PlacementReport } from '../daemon/service.js';
import type { Context } from './context.js';

/** A host that is dead or shut out is not there. */
export async function presentHosts(context: Context): Promise<readonly HostReport[]> {
  const hosts = await context.service().hosts(context.signal);
  return hosts.filter(({ state }) => state !== 'revoked' && state !== 'dead');
}

export async function* presentParcels(context: Context): AsyncGenerator<PlacementReport> {
  for await (const parcel of context.service().placements(context.signal)) {
    // Kept by its hold alone, and nobody has it: `status` does not call it missing either (`SourceSummary`).
    if (parcel.listed || parcel.holders.length > 0) yield parcel;
  }
}
